"""Anomalies in layers: the total, and each service, region or tag by itself.

Two opposite changes leave the total as it was, and a doubled small project disappears in it; so every scope is looked
at. The same money then shows in several scopes: what begins together and costs about the same is one anomaly, told of
the narrowest scope, with the others named; and a wider scope that only adds up narrower ones is none of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from course_lib.finops.anomalies.detect import Anomaly, detect
from course_lib.finops.anomalies.rule import Rule
from course_lib.finops.errors import FinopsError
from course_lib.finops.usage import SpendSeries

TOGETHER = 1  # steps by which beginnings may differ
ALIKE = 0.25  # fraction by which impacts may differ


def find_anomalies(scopes: Mapping[str, SpendSeries], rule: Rule | None = None) -> tuple[Anomaly, ...]:
    """Every anomaly of every scope, the dearest first.

    Args:
        scopes: by name, such as {"total": ..., "region=us-east-1": ...}; all of the same interval.
        rule: DAILY or HOURLY by the series' step when left out.

    Raises:
        FinopsError: for series of different intervals, in which a late beginning would look like a new key.
    """
    spans = {(series.start, series.end, series.step) for series in scopes.values()}
    if len(spans) > 1:
        starts = sorted({f"{series.start:%Y-%m-%d}" for series in scopes.values()})
        raise FinopsError.of(
            "scopes", starts, "must cover one interval in equal steps", "read them with the same start and end"
        )
    found = [one for series in scopes.values() for one in detect(series, rule).anomalies]
    step = next(iter(spans))[2] if spans else None
    widths = {name: sum(series.usd) for name, series in scopes.items()}
    found.sort(key=lambda one: (widths[one.scope], one.scope))  # the narrowest scope first
    heads: list[Anomaly] = []
    for one in found:
        same = [number for number, head in enumerate(heads) if step is not None and _alike(head, one, step)][:1]
        same = same or _parts(heads, one, step)
        for number in same:
            heads[number] = replace(heads[number], also=(*heads[number].also, one.scope))
        if not same:
            heads.append(one)
    return tuple(sorted(heads, key=lambda one: (-one.impact_usd, one.id)))


def _dimension(scope: str) -> str:
    return scope.partition("=")[0]


def _free(head: Anomaly, one: Anomaly) -> bool:
    """Two regions, or two tags, are never the same money; a region and a service may be."""
    return _dimension(one.scope) not in {_dimension(scope) for scope in (head.scope, *head.also)}


def _alike(head: Anomaly, one: Anomaly, step: timedelta) -> bool:
    near = abs(head.start - one.start) <= TOGETHER * step
    alike = abs(head.impact_usd - one.impact_usd) <= ALIKE * max(head.impact_usd, one.impact_usd)
    return near and alike and _free(head, one)


def _parts(heads: list[Anomaly], one: Anomaly, step: timedelta | None) -> list[int]:
    """The narrower anomalies of one dimension that together are the wider one; none where they are not."""
    if step is None:
        return []
    inside: dict[str, list[int]] = {}
    for number, head in enumerate(heads):
        if one.start - step <= head.start and head.last <= one.last + step and _free(head, one):
            inside.setdefault(_dimension(head.scope), []).append(number)
    for numbers in inside.values():
        if len(numbers) > 1 and sum(heads[number].impact_usd for number in numbers) >= (1 - ALIKE) * one.impact_usd:
            return numbers
    return []
