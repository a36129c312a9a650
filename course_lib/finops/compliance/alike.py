"""Results that say the same of many places, put together for a reader."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from course_lib.finops.compliance.results import Result

FEW = 3  # up to so many stand each for itself


def together(results: Iterable[Result]) -> list[Result]:
    """One result in the place of many of one check that have the same evidence; it names the first two and a number.

    Args:
        results: in any order; each group stands where its first one stood.
    """
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for one in results:
        groups.setdefault((one.check, one.status, one.evidence), []).append(one)
    found: list[Result] = []
    for group in groups.values():
        if len(group) <= FEW:
            found += group
            continue
        regions = list(dict.fromkeys(one.region for one in group))
        resources = list(dict.fromkeys(one.resource for one in group))
        found.append(replace(group[0], region=_some(regions), resource=_some(resources)))
    return found


def _some(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= FEW else f"{', '.join(names[:2])} and {len(names) - 2} more"
