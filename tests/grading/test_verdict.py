"""What a test cell's outputs are worth. The oracle is nbgrader's own determine_grade, applied after ours."""

from __future__ import annotations

import pytest
from nbformat.v4 import new_code_cell, new_output
from nbgrader.utils import determine_grade

from grading.verdict import settle
from tests.grading.conftest import nbgrader

VALUE = "check.score()"
ASSERTS = "assert f(1) == 2"


def points(source: str, *outputs) -> float:
    """The grade out of 4 that nbgrader gives once the outputs are settled."""
    cell = new_code_cell(source, outputs=list(outputs), metadata=nbgrader("t", grade=True, locked=True, points=4))
    settle(cell)
    return determine_grade(cell)[0]


def value(text: str):
    return new_output("execute_result", data={"text/plain": text})


def stderr(text: str = "UserWarning: slow"):
    return new_output("stream", name="stderr", text=text)


ERROR = new_output("error", ename="AssertionError", evalue="", traceback=[])


def test_silence_is_full_marks_for_a_test_of_asserts():
    assert points(ASSERTS) == 4


def test_a_warning_is_no_failure():
    assert points(ASSERTS, stderr()) == 4


def test_an_error_is_nothing_even_after_a_value():
    assert points(VALUE, value("4"), ERROR) == 0


def test_a_value_is_partial_credit():
    assert points(VALUE, value("1.5")) == 1.5


def test_a_value_beside_a_test_of_asserts_was_put_out_by_the_tested_code_and_counts_for_nothing():
    assert points(ASSERTS, value("1")) == 4
    assert points(ASSERTS, value("4"), ERROR) == 0


def test_a_second_value_means_that_the_tested_code_put_one_out():
    assert points(VALUE, value("4"), value("1")) == 0


@pytest.mark.parametrize("text", ["5", "-1", "nan", "inf", "'four'", "<object>"])
def test_a_value_that_is_no_number_of_points_is_nothing(text):
    assert points(VALUE, value(text)) == 0


def test_a_score_that_did_not_show_is_nothing():
    assert points(VALUE) == 0
    assert points("points") == 0


def test_a_call_that_returns_none_shows_nothing_and_passes():
    assert points("assert_equal(f(1), 2)") == 4


@pytest.mark.parametrize("source", ["x = 3;", "x;", "%timeit f()", "def f(: broken"])
def test_a_cell_without_a_last_value_drops_values(source):
    assert points(source, value("1")) == 4


@pytest.mark.parametrize("text", ["'a hidden test'", "7.25"])
def test_a_value_that_is_no_number_of_points_is_not_repeated_to_the_learner(text):
    cell = new_code_cell(VALUE, outputs=[value(text)], metadata={"nbgrader": {"points": 4}})
    settle(cell)
    assert text.strip("'") not in cell.metadata["grading"]["reason"]
