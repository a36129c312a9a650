"""What a lab's test cells use: run the learner's function, say plainly what came back, hand nbgrader a number.

A test cell loads this file afresh (`importlib.reload`), collects checks in one `Check`, and ends with `check.score()`:
nbgrader reads that number as partial credit. Nothing here relies on `assert`, on `==` of learners' objects or on a
name that a notebook can rebind; what a notebook can still do inside its own process is for the grading sandbox to stop.
"""

import builtins
import contextlib
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

__all__ = ["Check", "LabFailure", "Tampered"]

Call = Callable[[], Any]

# Taken from literals: a notebook that rebinds `type` or `float` does not reach them.
_type = ().__class__.__class__
_NUMBERS = ((0).__class__, (0.0).__class__)
_EXACT = (*_NUMBERS, True.__class__, "".__class__, None.__class__)
_BUILTIN_FUNCTION: Any = [].append.__class__
_TRUSTED_FUNCTIONS = ("abs", "any", "getattr", "hasattr", "isinstance", "issubclass", "len", "print", "repr", "sum")
_TRUSTED_CLASSES = {"type": _type, "int": _EXACT[0], "float": _EXACT[1], "bool": _EXACT[2], "str": _EXACT[3]}


class LabFailure(Exception):
    """A test that the learner's code does not pass yet; the message is written for the learner."""


class Tampered(LabFailure):
    """The notebook changes how its own tests run, so no test result can be believed."""


class Check:
    """The checks of one test cell.

    Args:
        subject: Name of the function under test, as the learner knows it.
        points: What the cell is worth when every check passes.
        off_limits: Modules whose functions the learner may not call from the function under test.

    Raises:
        Tampered: If the notebook has installed something that changes how cells run.
    """

    def __init__(self, subject: str, *, points: float, off_limits: tuple[str, ...] = ()) -> None:
        _refuse_tampering()
        self._subject, self._points, self._off_limits = subject, points, off_limits
        self._weight = self._earned = 0.0
        self._hidden = self._unwritten = False
        self._report: list[str] = []

    def hide(self) -> None:
        """From here on say whether a check passed and give its hint, but no value: these checks are hidden tests."""
        self._hidden = True

    def number(
        self,
        claim: str,
        call: Call,
        expected: float,
        *,
        rel: float = 1e-9,
        hint: str = "",
        weight: float = 1.0,
    ) -> None:
        """Require a plain number within `rel` (a fraction) of `expected`; within `rel` itself if that is zero."""
        got, trouble = self._run(call)
        if not trouble:
            got = _plain(got)
            if _type(got) not in _NUMBERS:
                trouble = f"returned {_show(got)} ({_type(got).__name__}), expected a number near {expected:.6g}"
            elif not abs(got - expected) <= rel * (abs(expected) or 1.0):  # `not <=` so that nan fails too
                trouble = f"returned {got:.6g}, expected {expected:.6g}" + (f" within {rel:.1%}" if rel >= 1e-3 else "")
                if expected and 0 < abs(got) < float("inf"):
                    trouble += f" (yours is {got / expected:.4g} times that)"
        self._record(claim, trouble, hint, weight)

    def equal(self, claim: str, call: Call, expected: Any, *, hint: str = "", weight: float = 1.0) -> None:
        """Require exactly this text, truth value, number or None, or a tuple of them: same types, same values."""
        got, trouble = self._run(call)
        if not trouble and not _same(_plain(got), expected):
            trouble = f"returned {_show(got)}, expected {expected!r}"
        self._record(claim, trouble, hint, weight)

    def refuses(self, claim: str, call: Call, *, naming: str = "", hint: str = "", weight: float = 1.0) -> None:
        """Require a ValueError whose message contains `naming` (the offending value, say)."""
        try:
            got, trouble = self._run(call, propagate=ValueError)
        except ValueError as error:
            message = str(error)
            trouble = "" if naming in message else f"raised ValueError({message!r}), which does not name {naming!r}"
        else:
            trouble = trouble or f"returned {_show(got)}, expected a ValueError"
        self._record(claim, trouble, hint, weight)

    def score(self) -> float:
        """Print the report and return the points earned: nbgrader reads the cell's last value.

        Raises:
            NotImplementedError: If nothing passed because the stub is still in place.
            LabFailure: If nothing passed, or (while validating) if anything failed.
            Tampered: As for `Check`.
        """
        _refuse_tampering()
        if self._weight <= 0:
            _raise(LabFailure(f"{self._subject}: this test cell holds no check; restore it from the released lab."))
        report = "\n".join(self._report)
        if not self._earned and self._unwritten:
            _raise(NotImplementedError(f"{self._subject} is not written yet: {_WRITE_IT}"))
        complete = self._earned >= self._weight
        earned = float(self._points) if complete else self._points * self._earned / self._weight
        if not self._earned or (not complete and os.environ.get("NBGRADER_EXECUTION") == "validate"):
            _raise(LabFailure(f"{self._subject}: {earned:g} of {self._points:g} points so far\n{report}"))
        print(f"{self._subject}: {earned:g} of {self._points:g} points\n{report}")
        return earned

    def _run(self, call: Call, propagate: type[Exception] | None = None) -> tuple[Any, str]:
        """The call's value and "", or None and what went wrong in words."""
        self._borrowed = ""
        try:
            with _warnings_as_text(), self._watch_calls():
                got = call()
        except KeyboardInterrupt:  # the grader's time limit and the learner's stop button
            raise
        except BaseException as error:  # whatever the learner's code raises is the finding
            if isinstance(error, NotImplementedError):
                self._unwritten = True
            if propagate and isinstance(error, propagate) and not self._borrowed:
                raise
            return None, self._borrowed or _explain(error, brief=self._hidden)
        return got, self._borrowed

    @contextlib.contextmanager
    def _watch_calls(self) -> Iterator[None]:
        """Notice calls into the modules that are off limits, however the learner got hold of them."""

        def watch(frame: FrameType, event: str, _arg: Any) -> None:
            module = str(frame.f_globals.get("__name__", ""))
            if event == "call" and not self._borrowed and f"{module}.".startswith(prefixes):
                what = f"{module}.{frame.f_code.co_name}"
                self._borrowed = f"called {what}; this lab asks for your own formula, so write it in the cell above"

        prefixes = tuple([f"{name}." for name in self._off_limits])
        before = sys.getprofile()
        if prefixes:
            sys.setprofile(watch)
        try:
            yield
        finally:
            if prefixes and sys.getprofile() is not watch:
                self._borrowed = "switched off the watch on calls, so this check does not count"
            sys.setprofile(before)

    def _record(self, claim: str, trouble: str, hint: str, weight: float) -> None:
        self._weight += weight
        if not trouble:
            self._earned += weight
            self._report.append(f"  ✓ {claim}")
            return
        shown = "this hidden check does not pass" if self._hidden else f"your function {trouble}"
        self._report.append(f"  ✗ {claim}\n      {shown}" + (f"\n      hint: {hint}" if hint else ""))


def _plain(value: Any) -> Any:
    """A NumPy scalar as the Python number that it stands for; anything else as it is."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and _type(value) in (numpy.float64, numpy.float32, numpy.int64, numpy.int32, numpy.bool_):
        return value.item()
    return value


def _same(got: Any, expected: Any) -> bool:
    """Equality of plain values and tuples of them: no object of the learner's answers for itself."""
    if _type(got) is not _type(expected):
        return False
    if _type(got) is not ().__class__:
        return _type(got) in _EXACT and got == expected
    heads_agree = len(got) == len(expected) and (not got or _same(_plain(got[0]), expected[0]))
    return heads_agree and (not got or _same(got[1:], expected[1:]))


def _show(value: Any) -> str:
    """A short text for a value of any type, even one whose repr fails."""
    try:
        text = str(repr(value))
    except BaseException:  # noqa: BLE001 - a learner's __repr__ may raise anything
        return f"an object of type {_type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."


def _explain(error: BaseException, *, brief: bool) -> str:
    """What was raised, and the learner's line that raised it."""
    if brief:
        return f"raised {_type(error).__name__}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    where = f" at `{frames[-1].line}`" if frames and frames[-1].line else ""
    return f"raised {_type(error).__name__}: {error}{where}"


@contextlib.contextmanager
def _warnings_as_text() -> Iterator[None]:
    """A warning is advice, not a mistake: show it on stdout, since nbgrader fails any cell that wrote to stderr."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(sys.stdout):
        warnings.simplefilter("default")
        yield


def _raise(error: Exception) -> NoReturn:
    """Raise with the message alone as the traceback: the frames would be this file's, no use to a learner."""
    text = f"{type(error).__name__}: {error}"
    error._render_traceback_ = lambda: text.split("\n")  # type: ignore[attr-defined]  # IPython's own hook
    raise error


def _refuse_tampering() -> None:
    """Stop if the notebook has changed how cells, builtins or this file behave."""
    found = [name for name in _TRUSTED_FUNCTIONS if not _is_original(name)]
    found += [name for name, kind in _TRUSTED_CLASSES.items() if builtins.__dict__.get(name) is not kind]
    if found:
        _raise(Tampered(f"This notebook redefines Python's own {', '.join(found)}. {_REMEDY}"))
    shadowed = sorted(name for name in globals() if name in builtins.__dict__ and not name.startswith("__"))
    if shadowed:
        _raise(Tampered(f"This notebook hides {', '.join(shadowed)} from course_lib.labkit. {_REMEDY}"))
    shell = getattr(builtins, "get_ipython", lambda: None)()
    if shell is None:
        return
    if shell.ast_transformers:
        _raise(Tampered(f"This notebook rewrites its cells before they run (shell.ast_transformers). {_REMEDY}"))
    hooks = [hook for registered in shell.events.callbacks.values() for hook in registered]
    own = [hook for hook in hooks if getattr(hook, "__module__", None) == "__main__"]
    if own or "showtraceback" in shell.__dict__ or "run_cell" in shell.__dict__:
        _raise(Tampered(f"This notebook replaces parts of the notebook shell. {_REMEDY}"))


def _is_original(name: str) -> bool:
    function: Any = builtins.__dict__.get(name)
    return _type(function) is _BUILTIN_FUNCTION and function.__name__ == name and function.__self__ is builtins


_WRITE_IT = (
    "replace `raise NotImplementedError()` in the cell above with your code, run that cell, then run this one again."
)
_REMEDY = "Its tests cannot be trusted: remove that code, restart the kernel and run all cells."
