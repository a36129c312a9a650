"""`course labs`. Oracle: the pipeline's own results, and exit statuses that a shell script can rely on."""

import json

from click.testing import CliRunner

from course_lib.cli import main
from grading.release.gates import GATES


def course(*arguments):
    return CliRunner().invoke(main, ["labs", *arguments])


def test_check_prints_json_that_a_program_can_read():
    result = course("check", "lab00-cost-of-a-run", "--only", "grade-ids", "--only", "stubs-guide", "--json")
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    assert [(row["gate"], row["passed"]) for row in rows] == [("grade-ids", True), ("stubs-guide", True)]


def test_check_prints_a_table():
    result = course("check", "lab00-cost-of-a-run", "--only", "points-and-hours")
    assert result.exit_code == 0
    assert "50 points, 1 h" in result.stdout


def test_an_unknown_lab_or_gate_gets_one_line_and_status_1():
    result = course("check", "lab00-cost-of-run", "--json")
    assert result.exit_code == 1
    assert "did you mean lab00-cost-of-a-run?" in json.loads(result.stdout)[0]["problems"][0]
    result = course("check", "--only", "grade-id")
    assert result.exit_code == 1
    assert "No gate named 'grade-id'" in result.output
    assert course("build", "lab77-none").exit_code == 1


def test_list_names_every_gate():
    result = course("list", "--json")
    assert [row["gate"] for row in json.loads(result.stdout)["gates"]] == [g.name for g in GATES]
    assert "nothing-leaks" in course("list").stdout
