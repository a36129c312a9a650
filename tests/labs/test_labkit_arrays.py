"""What a test cell says of arrays and measured numbers. Oracle: NumPy arrays and points worked out by hand."""

import ml_dtypes
import numpy as np
import pytest
import torch

from course_lib.labkit import Check, LabFailure

RIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)


def report_of(answer, capsys, expected=RIGHT, **options):
    check = Check("kernel", points=2)
    check.number("something right", lambda: 1, 1)
    passed = check.array("the array", lambda: answer, expected, **options)
    score = check.score()
    assert passed == (score == 2)
    return capsys.readouterr().out


def test_a_right_array_earns_its_points(capsys):
    assert "✓ the array" in report_of(RIGHT.copy(), capsys)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_right_tensor_does_too(dtype, capsys):
    expected = RIGHT.astype(ml_dtypes.bfloat16) if dtype is torch.bfloat16 else RIGHT
    assert "✓ the array" in report_of(torch.tensor(RIGHT, dtype=dtype), capsys, expected)


def test_small_differences_pass_and_larger_ones_do_not(capsys):
    assert "✓ the array" in report_of(RIGHT * np.float32(1 + 1e-3), capsys, rel=2e-3)
    assert "✗ the array" in report_of(RIGHT * np.float32(1 + 3e-3), capsys, rel=2e-3)


def test_a_wrong_element_is_named_with_both_values(capsys):
    wrong = RIGHT.copy()
    wrong[1, 0] = 7
    report = report_of(wrong, capsys, hint="look at row 1")
    assert "is wrong in 1 of 6 elements; the first is row 1, column 0: 7, expected 3" in report
    assert "hint: look at row 1" in report


def test_memory_that_was_never_written_is_named(capsys):
    wrong = RIGHT.copy()
    wrong[0] = np.nan
    assert "3 are NaN, which often means that they were never written" in report_of(wrong, capsys)


def test_nan_is_right_where_it_is_expected(capsys):
    expected = RIGHT.copy()
    expected[0, 0] = np.nan
    assert "✓ the array" in report_of(expected.copy(), capsys, expected)
    assert "✗ the array" in report_of(RIGHT, capsys, expected)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (RIGHT.T, "shape (3, 2), expected (2, 3)"),
        (RIGHT.astype(np.float16), "an array of float16, expected float32"),
        (RIGHT.astype(object), "an array of object"),
        (RIGHT.tolist(), "(list), expected an array of shape (2, 3), float32"),
        (None, "returned None (NoneType)"),
        (np.ma.masked_all((2, 3), np.float32), "(MaskedArray)"),
    ],
)
def test_what_is_no_such_array_is_said_so(answer, said, capsys):
    assert said in report_of(answer, capsys)


def test_a_hidden_array_tells_no_value(capsys):
    check = Check("kernel", points=2)
    check.number("something right", lambda: 1, 1)
    check.hide()
    check.array("hidden", lambda: RIGHT + 41, RIGHT, hint="the hint stays")
    check.score()
    report = capsys.readouterr().out
    assert "41" not in report
    assert "the hint stays" in report


def test_an_array_subclass_cannot_answer_for_itself(capsys):
    class Agreeing(np.ndarray):
        def __eq__(self, other):
            return np.ones(self.shape, bool)

        def astype(self, *a, **k):
            return self

    assert "(Agreeing), expected an array" in report_of(np.zeros((2, 3), np.float32).view(Agreeing), capsys)


def budget(measured, capsys, **options):
    check = Check("kernel", points=3)
    check.budget("traffic", lambda: measured, at_most=(300.0, 200.0, 100.0), unit="bytes", **options)
    try:
        return check.score(), capsys.readouterr().out
    except LabFailure as failure:
        return 0.0, str(failure)


@pytest.mark.parametrize(
    ("measured", "points"), [(301, 0), (300, 1), (200.5, 1), (150, 2), (100, 3), (np.float64(1), 3)]
)
def test_each_limit_that_is_kept_pays_its_share(measured, points, capsys):
    assert budget(measured, capsys)[0] == pytest.approx(points)


def test_a_missed_limit_tells_the_measured_value_even_when_hidden(capsys):
    check = Check("kernel", points=2)
    check.number("something right", lambda: 1, 1)
    check.hide()
    check.budget("traffic", lambda: 250, at_most=(300.0, 200.0), unit="bytes", hint="load once")
    check.score()
    report = capsys.readouterr().out
    assert "✓ traffic: at most 300 bytes" in report
    assert "takes 250 bytes, 1.25 times the limit" in report
    assert "hint: load once" in report


@pytest.mark.parametrize(
    ("measured", "options", "said"),
    [
        (5, {"at_least": 10}, "measured at 5 bytes; no right one needs less than 10"),
        (50, {"given": False}, "must give the right result first"),
        (float("nan"), {}, "no number of bytes"),
        (None, {}, "no number of bytes"),
        (True, {}, "no number of bytes"),
    ],
)
def test_a_budget_pays_nothing_for_what_cannot_be_or_is_not_right(measured, options, said, capsys):
    points, report = budget(measured, capsys, **options)
    assert points == 0
    assert said in report
