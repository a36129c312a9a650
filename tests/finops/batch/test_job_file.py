"""Job files. Oracle: tomllib for the syntax, and values written by hand."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from course_lib.finops.batch import EXAMPLE, SPOT_RULES, BatchError, Dependency, read_job_file
from course_lib.finops.ephemeral import LeaseError
from course_lib.finops.errors import FinopsError


@pytest.fixture
def read(tmp_path):
    """Reads the example with some of its text replaced."""

    def parse(*changes):
        text = EXAMPLE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "job.toml"
        path.write_text(text)
        return read_job_file(path)

    return parse


def test_the_example_is_a_job(read):
    found = read()
    assert (found.region, found.fleet.name, found.fleet.max_vcpus) == ("us-east-1", "bert-trn1", 32)
    assert found.job.lease.expires_at == datetime(2026, 12, 2, 8, tzinfo=UTC)
    assert found.fleet.lease is found.job.lease
    assert (found.job.timeout, found.job.retry.attempts, found.job.array_size) == (timedelta(hours=2), 3, 4)
    assert found.job.retry.rules == SPOT_RULES
    assert found.job.purchase == "spot"
    assert found.depends_on == ()


def test_dependencies_and_the_fleets_way_of_buying_are_taken_over(read):
    more = 'outputs = "s3://bucket/outputs"\ndepends_on = [{job_id = "abc", kind = "N_TO_N"}]\n'
    found = read(('outputs = "s3://bucket/outputs"\n', more), ('purchase = "spot"', 'purchase = "on_demand"'))
    assert found.depends_on == (Dependency("abc", "N_TO_N"),)
    assert found.job.purchase == "on_demand"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("timeout = ", "time_out = "), r"key='time_out' is none of \[job\]. Remedy: did you mean timeout"),
        (('timeout = "2h"\n', ""), r"key='timeout' is missing in \[job\]"),
        (('timeout = "2h"', 'timeout = "2 hours"'), r"timeout='2 hours' is no duration"),
        (('timeout = "2h"', "timeout = 7200"), r"timeout=7200 is no duration"),
        (("[fleet]", "[flet]"), r"key='flet' is none of the job file. Remedy: did you mean fleet"),
        (("2026-12-02T08:00:00Z ", '"tomorrow" '), r"expires_at='tomorrow' is no moment"),
        (("2026-12-02T08:00:00Z ", "2026-12-02T08:00:00 "), r"names no time zone"),
        (('command = ["python", "train.py"]', 'command = "python train.py"'), r"command='python train.py' is no list"),
        (('purchase = "spot"', 'purchase = "stolen"'), r"purchase='stolen' is no way to buy"),
        (('on_reason = "*"', 'on_raeson = "*"'), r"key='on_raeson' is none of \[\[job.retry\]\]"),
        (("budget_usd = 40.0", "budget_usd = -40.0"), r"budget_usd=-40.0 must be a finite number above 0"),
        (("budget_usd = 40.0", "budget_usd = "), r"can't be read \(Invalid value"),
        (('owner = "ada@example.org"', 'owner = "a<b"'), r"owner='a<b' is no tag's value"),
    ],
)
def test_a_mistake_is_one_line_with_its_remedy(read, change, says):
    with pytest.raises((BatchError, LeaseError), match=says) as caught:
        read(change)
    assert "\n" not in str(caught.value)
    assert "Remedy:" in str(caught.value)


FIELD = re.compile(r"^(\w+) = [^#\n]+", re.MULTILINE)
WRONG = ("3", "true", "[1]", "{ a = 1 }", "1979-05-27", "nan", '"\\u00b2h"', '"999999999999d"')


@pytest.mark.parametrize("value", WRONG)
def test_a_value_of_another_kind_is_refused_in_one_line_or_fits(tmp_path, value):
    """Each line of the example in turn, with TOML's other kinds of value."""
    path = tmp_path / "job.toml"
    refused = []
    for found in FIELD.finditer(EXAMPLE):
        path.write_text(f"{EXAMPLE[: found.start()]}{found[1]} = {value}{EXAMPLE[found.end() :]}")
        try:
            read_job_file(path)
        except FinopsError as error:
            refused.append(str(error))
    assert len(refused) >= 10
    assert [said for said in refused if len(said.splitlines()) != 1 or ". Remedy: " not in said] == []


@pytest.mark.parametrize("line", ["fleet = 3", 'fleet = "trn1"', "fleet = [{ name = 'x' }]"])
def test_a_fleet_that_is_no_table_is_refused(tmp_path, line):
    head, _, rest = EXAMPLE.partition("[fleet]")
    path = tmp_path / "job.toml"
    path.write_text(f"{head}{line}\n[job]{rest.partition('[job]')[2]}")
    with pytest.raises(BatchError, match=r"\[fleet\]=.* is no table\. Remedy: "):
        read_job_file(path)


@pytest.mark.parametrize("line", ["environment = 5", "depends_on = 5", "depends_on = [5]", "vcpus = true", "retry = 5"])
def test_a_part_of_the_job_of_another_kind_is_refused(tmp_path, line):
    path = tmp_path / "job.toml"
    path.write_text(EXAMPLE.partition("[[job.retry]]")[0].replace("attempts = 3", f"attempts = 3\n{line}"))
    with pytest.raises(BatchError, match=r"=.* is no .*\. Remedy: write "):
        read_job_file(path)
