"""`course doctor`: what this machine has and lacks for the course, as a table with a remedy in each bad row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from course_lib.runtime import machine, packages
from course_lib.runtime.findings import Finding

Check = Callable[[], Finding | Iterable[Finding]]

CHECKS: tuple[Check, ...] = (
    packages.check_python,
    packages.check_packages,
    packages.check_horovod,
    machine.check_cores,
    machine.check_memory,
    machine.check_disk,
    machine.check_accelerators,
    packages.check_stubs,
)


def examine(extra: Sequence[Check] = ()) -> list[Finding]:
    """Run every check and collect the findings.

    Args:
        extra: checks from rooms above this one, such as the grading sandbox's.
    """
    findings: list[Finding] = []
    for check in (*CHECKS, *extra):
        result = check()
        findings += [result] if isinstance(result, Finding) else list(result)
    return findings


def exit_code(findings: Iterable[Finding]) -> int:
    """1 when something that the main job needs is missing or wrong, else 0."""
    return int(any(finding.stops_the_main_job for finding in findings))
