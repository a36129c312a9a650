"""What `course labs` does: make labs/ from solutions/, and check each lab at every gate."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from grading.release.bench import Bench
from grading.release.course import COURSE, Course
from grading.release.errors import ReleaseError
from grading.release.gate import Gate, GateResult
from grading.release.gates import GATES
from grading.release.publish import release


@dataclass(frozen=True)
class Result:
    """What became of one lab's release.

    Args:
        lab: The lab's name.
        changed: Whether labs/<lab>/ is different now.
        error: Why there is no new release, in one line; empty when there is.
        seconds: Wall-clock time it took.
    """

    lab: str
    changed: bool
    error: str
    seconds: float


def regenerate(
    labs: Sequence[str] | None = None, course: Course = COURSE, on_lab: Callable[[str], None] = lambda lab: None
) -> list[Result]:
    """Release labs; one that cannot be released stops no other.

    Args:
        labs: Names; all labs that have a text source when left out.
        course: Folders to work in.
        on_lab: Called with each lab's name before it is made.
    """
    results = []
    for lab in labs or course.lab_ids():
        on_lab(lab)
        started = time.monotonic()
        try:
            changed, error = release(lab, course), ""
        except ReleaseError as problem:
            changed, error = False, str(problem)
        results.append(Result(lab, changed, error, time.monotonic() - started))
    return results


def check(
    labs: Sequence[str] | None = None,
    course: Course = COURSE,
    only: Sequence[str] | None = None,
    on_gate: Callable[[str, str], None] = lambda lab, gate: None,
) -> list[GateResult]:
    """Check labs at the gates.

    Args:
        labs: Names; all labs with a text source, and every folder in labs/, when left out.
        course: Folders to work in.
        only: Names of gates; all when left out.
        on_gate: Called with lab and gate before each check.

    Raises:
        ReleaseError: If a name in `only` is no gate's.
    """
    gates = chosen(only)
    results: list[GateResult] = []
    for lab in labs or sorted({*course.lab_ids(), *released_folders(course)}):
        try:
            with Bench(lab, course) as bench:
                results += [passed(bench, gate, on_gate) for gate in gates]
        except ReleaseError as problem:
            results.append(GateResult(lab, "source", False, (str(problem),), "", 0.0))
    return results


def passed(bench: Bench, gate: Gate, on_gate: Callable[[str, str], None] = lambda lab, gate: None) -> GateResult:
    """One gate's verdict on one lab."""
    on_gate(bench.lab.id, gate.name)
    started = time.monotonic()
    try:
        finding = gate.check(bench)
        problems, measured = tuple(finding.problems), finding.measured
    except ReleaseError as problem:
        problems, measured = (str(problem),), ""
    return GateResult(bench.lab.id, gate.name, not problems, problems, measured, time.monotonic() - started)


def chosen(only: Sequence[str] | None) -> tuple[Gate, ...]:
    """The gates with these names, in their own order."""
    known = {gate.name: gate for gate in GATES}
    unknown = sorted(set(only or ()) - set(known))
    if unknown:
        raise ReleaseError(f"No gate named {unknown[0]!r}; known: {', '.join(known)}.")
    return tuple(gate for gate in GATES if not only or gate.name in only)


def released_folders(course: Course) -> set[str]:
    """Names of the folders in labs/; one without a text source is a finding, whatever it holds."""
    return {path.name for path in course.labs.glob("*") if path.is_dir() and not path.name.startswith((".", "_"))}
