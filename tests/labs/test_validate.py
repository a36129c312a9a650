"""What the Validate button says, through nbgrader's own Validator. Oracle: solutions and stubs from the source."""

import nbformat
import pytest
from nbgrader.validator import Validator

from grading.release import COURSE
from grading.release.bench import Bench

LAB = "lab00-cost-of-a-run"


@pytest.fixture(scope="module")
def bench():
    with Bench(LAB, COURSE) as bench:
        yield bench


def validate(bench, tmp_path, answers):
    """Validate the released notebook with these cells filled in: grade id → text."""
    notebook = nbformat.from_dict(dict(bench.released))
    answers = {"written-advice": "Measure first.", **answers}
    for cell in notebook.cells:
        cell.source = answers.get(cell.metadata.get("nbgrader", {}).get("grade_id"), cell.source)
    path = tmp_path / f"{LAB}.ipynb"
    nbformat.write(notebook, path)
    return Validator().validate(str(path))


def solutions(bench):
    return {c.metadata.nbgrader.grade_id: c.source for c in bench.lab.cells(solution=True, kind="code")}


def test_a_solved_notebook_validates(bench, tmp_path):
    assert validate(bench, tmp_path, solutions(bench)) == {}


def test_the_released_notebook_says_what_is_not_written_yet(bench, tmp_path):
    failed = validate(bench, tmp_path, {})["failed"]
    assert len(failed) == len(bench.exercises)
    assert all("is not written yet" in cell["raw_error"] for cell in failed)


def test_a_half_right_function_is_told_value_expectation_and_hint(bench, tmp_path):
    answers = solutions(bench)
    answers["training-flops"] = answers["training-flops"].replace("12 * layers", "2 * layers")
    (failed,) = validate(bench, tmp_path, answers)["failed"]
    assert "4.5 of 6 points so far" in failed["raw_error"]
    assert "your function returned 61280, expected 67680" in failed["raw_error"]
    assert "hint: attention adds" in failed["raw_error"]
    assert "Traceback" not in failed["raw_error"]


def test_calling_the_courses_own_formulas_is_told_and_earns_nothing(bench):
    """The lab asks for formulas of one's own; course_lib.arithmetic answers the same questions."""
    borrowed = (
        "from course_lib.arithmetic import training_flops as theirs\n"
        "from course_lib.catalog import model\n"
        "def training_flops(parameters, tokens, layers=0, attention_width=0, sequence_length=0):\n"
        "    theirs(model('llama3-8b'), 1e9)\n"
        "    return tokens * (6 * parameters + 12 * layers * attention_width * sequence_length)\n"
    )
    trial = bench.try_out({"training-flops": borrowed})
    assert trial.scores["test-training-flops"] == (0.0, 6.0)
    (told,) = (o.error[1] for o in trial.outcomes.values() if o.error and o.error[0] == "LabFailure")
    assert "course_lib.arithmetic" in told
    assert "write it in the cell above" in told
