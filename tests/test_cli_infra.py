"""`course finops infra`. Oracle: python-hcl2 and the file system, asked without the commands."""

import json

import pytest
from click.testing import CliRunner

from course_lib.cli import main


@pytest.fixture
def course():
    return lambda *arguments: CliRunner().invoke(main, ["finops", "infra", *map(str, arguments)])


def test_modules_are_written_and_pass_the_check(course, tmp_path):
    told = course("write", tmp_path / "a", "--cloud", "gcp")
    assert told.exit_code == 0, told.output
    assert (tmp_path / "a/gcp/lab-box/main.tf").is_file()
    assert not (tmp_path / "a/aws").exists()
    checked = course("check", tmp_path / "a")
    assert (checked.exit_code, checked.output) == (0, "3 modules, 0 findings.\n")


def test_a_defect_is_told_and_ends_with_1(course, tmp_path):
    course("write", tmp_path / "a", "--cloud", "gcp")
    main_tf = tmp_path / "a/gcp/lab-box/main.tf"
    main_tf.write_text(main_tf.read_text().replace('"DELETE"', '"STOP"'))
    told = course("check", tmp_path / "a", "--json")
    assert told.exit_code == 1
    found = json.loads(told.output)["found"]
    assert [one["module"] for one in found] == ["gcp/lab-box"]
    assert "its disk stays" in course("check", tmp_path / "a").output


def test_nothing_is_overwritten_and_bad_input_is_one_line(course, tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    for arguments in (("write", tmp_path), ("write", tmp_path / "b", "--cloud", "ibm"), ("check", tmp_path)):
        told = course(*arguments)
        assert told.exit_code == 1
        assert len(told.output.splitlines()) == 1, told.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
