"""What commands are given, checked before the first call. Oracle: the operating system's own words, Python's codec and
calendar, and an account that nobody could reach: whatever asks it fails in other words."""

from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from course_lib.catalog import InputError
from course_lib.cli import main
from course_lib.cli_values import moment, script_text

WRITERS = [
    ("finops", "comply", "--report"),
    ("finops", "anomalies", "--seen"),
    ("finops", "emergency", "plan"),
    ("finops", "dashboard", "write"),
    ("cost", "refresh"),
]


@pytest.fixture
def course(monkeypatch, tmp_path):
    """Runs `course ...` without an account: with no credentials each call fails, and says so."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return lambda *words: CliRunner().invoke(main, words)


@pytest.mark.parametrize("words", WRITERS, ids=" ".join)
def test_a_file_that_can_not_be_written_is_refused_before_anybody_is_asked(course, tmp_path, words):
    rest = ("trn1.2xlarge",) if words[0] == "cost" else ()
    (tmp_path / "plain").write_text("no folder")
    for folder, why in (
        (tmp_path / "missing", "No such file or directory"),
        (tmp_path / "plain", "Not a directory"),
        ("/proc", "No such file or directory"),  # a folder in which nobody, root included, makes a file
    ):
        found = course(*words, f"{folder}/out.txt", *rest)
        assert found.exit_code == 1
        assert f"='{folder}/out.txt' can't be written: {why}: {folder}. Remedy: make that folder first" in found.output
        assert len(found.output.strip().splitlines()) == 1
    assert sorted(one.name for one in tmp_path.iterdir()) == ["plain"]
    reached = course(*words, str(tmp_path / "out.txt"), *rest)  # where it can be, the account is the next to be missed
    assert "credentials" in reached.output
    assert sorted(one.name for one in tmp_path.iterdir()) == ["plain"]


def test_a_record_that_is_none_is_refused_before_the_bill_is_read(course, tmp_path):
    (tmp_path / "told.json").write_text("[1, 2]")
    found = course("finops", "anomalies", "--seen", str(tmp_path / "told.json"))
    assert "is no record of anomalies" in found.output
    assert "credentials" not in found.output


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-12-01T08:00:00Z", datetime(2026, 12, 1, 8, tzinfo=UTC)),
        ("2026-12-01T09:30:00+01:00", datetime(2026, 12, 1, 8, 30, tzinfo=UTC)),
        ("soon", "is no moment"),
        ("", "is no moment"),
        ("2026-02-30T08:00:00Z", "is no moment"),
        ("0001-01-01T00:00:00+14:00", "is no moment"),  # before the calendar begins, in UTC
        ("2026-12-01T08:00:00", "names no time zone"),
        ("2026-12-01", "names no time zone"),
    ],
)
def test_a_moment_has_a_zone(text, found):
    if isinstance(found, datetime):
        assert moment("until", text) == found
        return
    with pytest.raises(InputError) as refused:
        moment("until", text)
    assert f"until={text!r} {found}. Remedy: write date, time and zone, such as" in str(refused.value)


def test_a_script_that_is_no_text_names_its_byte(tmp_path):
    path = tmp_path / "boot.sh"
    path.write_bytes(b"#!/bin/sh\n# Zo\xeb\n")
    with pytest.raises(InputError, match=r"boot.sh' is no UTF-8 text: byte 0xeb at position 14. Remedy: .*as UTF-8"):
        script_text("script", path)
    path.write_bytes("#!/bin/sh\r\n# Zo\u00eb\n".encode())
    assert script_text("script", path) == "#!/bin/sh\n# Zo\u00eb\n"
