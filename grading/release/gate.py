"""What a gate is: one thing about a lab, proved or refused with the reasons."""

from collections.abc import Callable
from dataclasses import dataclass, field

from grading.release.bench import Bench


@dataclass
class Finding:
    """What a gate found.

    Args:
        problems: One line each, with the remedy; none means that the gate is open.
        measured: A figure for the table, such as "120 mutants, 120 caught".
    """

    problems: list[str] = field(default_factory=list)
    measured: str = ""


@dataclass(frozen=True)
class Gate:
    """One named check of a lab.

    Args:
        name: Kebab-case name, as in the table and in `--only`.
        proves: What holds when it passes.
        made_for: The defect that it was made for.
        check: The check itself.
    """

    name: str
    proves: str
    made_for: str
    check: Callable[[Bench], Finding]


@dataclass(frozen=True)
class GateResult:
    """One row of the table.

    Args:
        lab: The lab's name.
        gate: The gate's name.
        passed: Whether nothing was found.
        problems: What was found, one line each.
        measured: A figure of the gate's own.
        seconds: Wall-clock time it took.
    """

    lab: str
    gate: str
    passed: bool
    problems: tuple[str, ...]
    measured: str
    seconds: float
