"""What a test cell's checker says and pays. Oracle: answers and points worked out by hand."""

import builtins
import os
import sys

import pytest

from course_lib import labkit
from course_lib.arithmetic import saving
from course_lib.labkit import Check, LabFailure, Tampered


def pays(points=4.0, **checks):
    check = Check("f", points=points)
    for name, (call, expected) in checks.items():
        check.number(name, call, expected)
    return check


def test_points_are_shared_out_by_weight(capsys):
    check = pays(a=(lambda: 1, 1), b=(lambda: 2, 3))
    check.number("c", lambda: 5, 5, weight=2)
    assert check.score() == 3.0  # 1 + 2 of a weight of 4, of 4 points
    report = capsys.readouterr().out
    assert "f: 3 of 4 points" in report
    assert "✓ a" in report
    assert "✗ b" in report


def test_all_right_pays_exactly_the_points_as_a_float():
    score = pays(0.1, a=(lambda: 1, 1), b=(lambda: 1, 1), c=(lambda: 1, 1)).score()
    assert score == 0.1
    assert type(score) is float


def test_a_wrong_number_is_told_with_value_expectation_factor_and_hint(capsys):
    check = pays(a=(lambda: 1, 1))
    check.number("GPT-3", lambda: 6.28e23, 3.14e23, rel=0.01, hint="6, not 12")
    check.score()
    report = capsys.readouterr().out
    assert "returned 6.28e+23, expected 3.14e+23 within 1.0%" in report
    assert "yours is 2 times that" in report
    assert "hint: 6, not 12" in report


def test_hidden_checks_tell_no_value(capsys):
    check = pays(a=(lambda: 1, 1))
    check.hide()
    check.number("large", lambda: 7, 424242)
    check.refuses("negative", lambda: int("secret"), naming="-31337")
    check.score()
    report = capsys.readouterr().out
    assert "large" in report
    for text in ("424242", "31337", "secret", "7"):
        assert text not in report


@pytest.mark.parametrize(
    "answer",
    [None, "9", True, [9], (9,), complex(9), float("nan"), float("inf"), 9.1, -9, object()],
    ids=lambda answer: repr(answer).partition(" at ")[0],
)
def test_only_a_plain_number_close_enough_passes(answer):
    with pytest.raises(LabFailure):
        pays(a=(lambda: answer, 9)).score()


def test_numpy_scalars_count_as_numbers():
    numpy = pytest.importorskip("numpy")
    assert pays(a=(lambda: numpy.float64(9), 9), b=(lambda: numpy.int64(9), 9)).score() == 4.0


def test_equal_wants_the_same_types_all_the_way_down():
    check = Check("f", points=8)
    check.equal("right", lambda: (3, None, "memory"), (3, None, "memory"))
    check.equal("float for int", lambda: (3.0, None), (3, None))
    check.equal("bool for int", lambda: True, 1)
    check.equal("shorter", lambda: (3,), (3, None))
    assert check.score() == 2.0


class Always:
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0

    def __sub__(self, other):
        return 0.0


class YesFloat(float):
    def __eq__(self, other):
        return True

    __hash__ = float.__hash__


@pytest.mark.parametrize("answer", [Always(), YesFloat(1)], ids=["object", "float subclass"])
def test_an_object_that_equals_everything_earns_nothing(answer):
    check = Check("f", points=2)
    check.number("number", lambda: answer, 9)
    check.equal("equal", lambda: answer, 9.0)
    check.equal("tuple", lambda: (answer, answer), (9.0, 9.0))
    with pytest.raises(LabFailure):
        check.score()


def test_refuses_wants_a_value_error_that_names_the_value():
    def complain(error):
        raise error

    check = Check("f", points=5)
    check.refuses("named", lambda: complain(ValueError("tokens must be positive, got -3")), naming="-3")
    check.refuses("not named", lambda: complain(ValueError("bad tokens")), naming="-3")
    check.refuses("another error", lambda: complain(TypeError("-3")), naming="-3")
    check.refuses("no error", lambda: -3, naming="-3")
    check.refuses("stub", lambda: complain(NotImplementedError()), naming="")
    assert check.score() == 1.0


def stub():
    raise NotImplementedError()


def test_an_untouched_stub_is_told_apart_from_a_wrong_answer():
    check = Check("f", points=1)
    check.number("a", stub, 1)
    with pytest.raises(NotImplementedError, match="f is not written yet"):
        check.score()


def test_a_learners_exception_is_shown_with_its_line(capsys):
    check = pays(a=(lambda: 1, 1), b=(lambda: 1 / 0, 1))
    check.score()
    assert "raised ZeroDivisionError: division by zero at `" in capsys.readouterr().out


def test_leaving_the_process_is_an_answer_like_any_other_wrong_one():
    with pytest.raises(LabFailure):
        pays(a=(lambda: sys.exit(0), 1)).score()


def test_a_time_limit_is_not_swallowed():
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pays(a=(interrupted, 1))


def test_what_a_correct_function_writes_to_stderr_becomes_ordinary_text(capsys):
    def noisy():
        print("note", file=sys.stderr)
        return 1

    assert pays(a=(noisy, 1)).score() == 4.0
    out, err = capsys.readouterr()
    assert err == ""
    assert "note" in out


def test_calls_into_modules_that_are_off_limits_earn_nothing_however_they_are_reached(capsys):
    def borrowed():
        hidden_among_others = [len, saving]
        return hidden_among_others[1](1.0, 2.0)

    check = Check("f", points=2, off_limits=("course_lib.arithmetic",))
    check.number("own", lambda: 0.5, 0.5)
    check.number("borrowed", borrowed, 0.5)
    assert check.score() == 1.0
    assert "course_lib.arithmetic.money.saving; this lab asks for your own" in capsys.readouterr().out


def test_switching_off_the_watch_on_calls_earns_nothing():
    def sly():
        sys.setprofile(None)
        return 0.5

    check = Check("f", points=2, off_limits=("course_lib.arithmetic",))
    check.number("sly", sly, 0.5)
    with pytest.raises(LabFailure):
        check.score()


def test_a_test_cell_without_checks_is_refused():
    with pytest.raises(LabFailure, match="holds no check"):
        Check("f", points=1).score()


def test_while_validating_anything_short_of_all_points_is_shown_as_a_failure(monkeypatch):
    monkeypatch.setitem(os.environ, "NBGRADER_EXECUTION", "validate")
    with pytest.raises(LabFailure, match="2 of 4 points so far") as caught:
        pays(a=(lambda: 1, 1), b=(lambda: 2, 3)).score()
    assert "✗ b" in "\n".join(caught.value._render_traceback_())


@pytest.mark.parametrize(
    ("name", "fake"),
    [("abs", lambda x: 0.0), ("abs", len), ("isinstance", lambda *a: True), ("float", int), ("type", lambda x: float)],
)
def test_redefined_builtins_are_noticed(name, fake):
    before, caught = getattr(builtins, name), None
    setattr(builtins, name, fake)  # pytest itself needs these, so they come back before it looks again
    try:
        Check("f", points=1)
    except Tampered as error:
        caught = error
    finally:
        setattr(builtins, name, before)
    assert f"redefines Python's own {name}" in str(caught)


def test_names_planted_in_the_checker_are_noticed(monkeypatch):
    monkeypatch.setattr(labkit, "abs", lambda x: 0.0, raising=False)
    with pytest.raises(Tampered, match="abs"):
        Check("f", points=1)


def test_tampering_between_the_checks_and_the_score_is_noticed(monkeypatch):
    check = pays(a=(lambda: 1, 1))
    monkeypatch.setattr(builtins, "abs", lambda x: 0.0)
    with pytest.raises(Tampered):
        check.score()
