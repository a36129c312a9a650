"""The checks of one test cell, their report and their points."""

import contextlib
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from IPython import display as notebook

from course_lib.labkit.arrays import compare
from course_lib.labkit.failures import LabFailure, NoResult, Tampered, fail
from course_lib.labkit.pristine import changed
from course_lib.labkit.trust import REMEDY, refuse_tampering
from course_lib.labkit.wording import NUMBERS, explain, kind_of, plain, plain_data, same, show

if TYPE_CHECKING:
    import numpy as np

Call = Callable[[], Any]


class Check:
    """The checks of one test cell.

    Args:
        subject: Name of the function under test, as the learner knows it.
        points: What the cell is worth when every check passes.
        off_limits: Modules whose functions the learner may not call from the function under test.
        unchanged: Packages whose functions must be those on disk: what the checks measure with.

    Raises:
        Tampered: If the notebook has installed something that changes how cells run or what they measure with.
    """

    def __init__(
        self, subject: str, *, points: float, off_limits: tuple[str, ...] = (), unchanged: tuple[str, ...] = ()
    ) -> None:
        refuse_tampering()
        if replaced := changed(unchanged):
            what = f"{', '.join(replaced[:3])} is not what lies on disk: this notebook, or an update since, changed it"
            fail(Tampered(f"{what}. {REMEDY}"))
        self._subject, self._points, self._off_limits = subject, points, off_limits
        self._weight = self._earned = 0.0
        self._hidden = self._unwritten = False
        self._drawn = ""
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
            got = plain(got)
            if kind_of(got) not in NUMBERS:
                trouble = f"returned {show(got)} ({kind_of(got).__name__}), expected a number near {expected:.6g}"
            elif not abs(got - expected) <= rel * (abs(expected) or 1.0):  # `not <=` so that nan fails too
                trouble = f"returned {got:.6g}, expected {expected:.6g}" + (f" within {rel:.1%}" if rel >= 1e-3 else "")
                if expected and 0 < abs(got) < float("inf"):
                    trouble += f" (yours is {got / expected:.4g} times that)"
        self._record(claim, trouble, hint, weight)

    def equal(self, claim: str, call: Call, expected: Any, *, hint: str = "", weight: float = 1.0) -> None:
        """Require exactly this text, truth value, number or None, or a tuple of them: same types, same values."""
        got, trouble = self._run(call)
        if not trouble and not same(plain(got), expected):
            trouble = f"returned {show(got)}, expected {expected!r}"
        self._record(claim, trouble, hint, weight)

    def refuses(self, claim: str, call: Call, *, naming: str = "", hint: str = "", weight: float = 1.0) -> None:
        """Require a ValueError whose message contains `naming` (the offending value, say)."""
        try:
            got, trouble = self._run(call, propagate=ValueError)
        except ValueError as error:
            message = str(error)
            trouble = "" if naming in message else f"raised ValueError({message!r}), which does not name {naming!r}"
        else:
            trouble = trouble or f"returned {show(got)}, expected a ValueError"
        self._record(claim, trouble, hint, weight)

    def array(
        self,
        claim: str,
        call: Call,
        expected: "np.ndarray",
        *,
        rel: float = 1e-5,
        abs: float = 1e-6,
        hint: str = "",
        weight: float = 1.0,
    ) -> bool:
        """Require an array or torch tensor of `expected`'s shape and dtype, each element within `abs` + `rel` of it.

        The cell's first wrong one is drawn beside the expected one, unless the check is hidden.

        Returns:
            Whether it is right.
        """
        got, trouble = self._run(call)
        if not trouble:
            trouble, drawn = compare(got, expected, rel=rel, absolute=abs, drawn=not (self._hidden or self._drawn))
            self._drawn = self._drawn or drawn
        self._record(claim, trouble, hint, weight)
        return not trouble

    def budget(
        self,
        claim: str,
        call: Call,
        *,
        at_most: tuple[float, ...],
        unit: str,
        at_least: float = 0.0,
        given: bool = True,
        hint: str = "",
        weight: float = 1.0,
    ) -> None:
        """Pay a share of `weight` for each limit that a measured number keeps to.

        Args:
            claim: What is measured.
            call: Returns the measured number.
            at_most: Limits from the loosest to the tightest; each is worth the same.
            unit: What the number counts.
            at_least: What no right answer can stay below; less than this earns nothing.
            given: Whether the result that was measured is right; a fast wrong one earns nothing.
            hint: Shown if a limit is missed.
            weight: What all limits together weigh.
        """
        got: Any
        got, trouble = self._run(call) if given else (None, "must give the right result first")
        if not trouble:
            got = plain(got)
            if kind_of(got) not in NUMBERS or got != got:
                trouble = f"was measured at {show(got)}, which is no number of {unit}"
            elif got < at_least:
                trouble = f"was measured at {got:,.6g} {unit}; no right one needs less than {at_least:,.6g}"
        if trouble:
            limits = ", ".join(f"{limit:,.6g}" for limit in at_most)
            self._record(f"{claim}: at most {limits} {unit}", trouble, hint if given else "", weight, telling=True)
            return
        for limit in at_most:
            over = f"takes {got:,.6g} {unit}, {got / limit:.3g} times the limit" if got > limit else ""
            tip = hint if limit == at_most[-1] else ""
            self._record(f"{claim}: at most {limit:,.6g} {unit}", over, tip, weight / len(at_most), telling=True)

    def outcome(self, call: Call) -> Call:
        """Run a call once, now, and hand what came of it to any number of checks.

        Returns:
            A call that gives the result, made of plain values and built-in containers, or raises what was raised.
        """
        value, error = None, None
        self._borrowed = ""
        try:
            with _warnings_as_text(), self._watch_calls():
                value = plain_data(call())
        except KeyboardInterrupt:
            raise
        except BaseException as raised:  # noqa: BLE001 - whatever it is, each check reports it
            error = raised
        if self._borrowed:
            error = NoResult(self._borrowed)

        def told() -> Any:
            if error is not None:
                raise error
            return value

        return told

    def score(self) -> float:
        """Print the report and return the points earned: nbgrader reads the cell's last value.

        Raises:
            NotImplementedError: If nothing passed because the stub is still in place.
            LabFailure: If nothing passed, or (while validating) if anything failed.
            Tampered: As for `Check`.
        """
        refuse_tampering()
        if self._weight <= 0:
            fail(LabFailure(f"{self._subject}: this test cell holds no check; restore it from the released lab."))
        report = "\n".join(self._report)
        if self._drawn:
            notebook.display(notebook.SVG(self._drawn))  # type: ignore[no-untyped-call]  # IPython's are untyped
        if not self._earned and self._unwritten:
            fail(NotImplementedError(f"{self._subject} is not written yet: {_WRITE_IT}"))
        complete = self._earned >= self._weight
        earned = float(self._points) if complete else self._points * self._earned / self._weight
        if not self._earned or (not complete and os.environ.get("NBGRADER_EXECUTION") == "validate"):
            fail(LabFailure(f"{self._subject}: {earned:g} of {self._points:g} points so far\n{report}"))
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
            return None, self._borrowed or explain(error, brief=self._hidden)
        return got, self._borrowed

    @contextlib.contextmanager
    def _watch_calls(self) -> Iterator[None]:
        """Notice calls into the modules that are off limits, however the learner got hold of them."""

        def watch(frame: FrameType, event: str, _arg: Any) -> None:
            module = str(frame.f_globals.get("__name__", ""))
            if event == "call" and not self._borrowed and f"{module}.".startswith(prefixes):
                what = f"{module}.{frame.f_code.co_name}"
                self._borrowed = f"called {what}; this lab asks for your own, so write it in the cell above"

        prefixes = tuple([f"{name}." for name in self._off_limits])
        before = sys.getprofile()
        if prefixes:
            threading.setprofile(watch)  # for threads that the call starts
            sys.setprofile(watch)
        try:
            yield
        finally:
            if prefixes and sys.getprofile() is not watch:
                self._borrowed = "switched off the watch on calls, so this check does not count"
            sys.setprofile(before)
            threading.setprofile(before)

    def _record(self, claim: str, trouble: str, hint: str, weight: float, *, telling: bool = False) -> None:
        self._weight += weight
        if not trouble:
            self._earned += weight
            self._report.append(f"  ✓ {claim}")
            return
        shown = "this hidden check does not pass" if self._hidden and not telling else f"your function {trouble}"
        self._report.append(f"  ✗ {claim}\n      {shown}" + (f"\n      hint: {hint}" if hint else ""))


@contextlib.contextmanager
def _warnings_as_text() -> Iterator[None]:
    """A warning is advice, not a mistake: show it on stdout, since nbgrader fails any cell that wrote to stderr."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(sys.stdout):
        warnings.simplefilter("default")
        yield


_WRITE_IT = (
    "replace `raise NotImplementedError()` in the cell above with your code, run that cell, then run this one again."
)
