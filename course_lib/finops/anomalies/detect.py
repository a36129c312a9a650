"""The detector: goes through a series once, step by step, and never looks ahead.

A step is out of the ordinary when it exceeds the expected by the rule's floor in dollars, its share and its multiple
of the scatter, all three: a percentage alone reports cents, a floor alone misses a doubled small project. A slow leak
stays under every day's threshold; it is found by holding the last week against the weeks before. Steps that belong
together are one anomaly.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np

from course_lib.finops.anomalies.baseline import Baseline
from course_lib.finops.anomalies.rare import STAYED, Rare, is_rare
from course_lib.finops.anomalies.rule import DAILY, HOURLY, Rule
from course_lib.finops.usage import DAY, SpendSeries

Kind = Literal["jump", "drift", "new"]
JOIN = 2  # ordinary steps between two steps of one anomaly


@dataclass(frozen=True)
class Anomaly:
    """Spend that is out of the ordinary for one or more steps.

    Attributes:
        id: the same whenever the same beginning is found in the same scope.
        scope: the series, such as "total" or "region=us-east-1".
        kind: "jump", "drift" (a slow leak) or "new" (a key that cost nothing before).
        start, last: the first and the last step, in UTC.
        usd, expected_usd: of these steps, what was spent and what was expected.
        score: the largest excess in standard deviations of the past's scatter.
        open: whether it went on at the end of the series.
        also: other scopes in which the same money shows.
    """

    id: str
    scope: str
    kind: Kind
    start: datetime
    last: datetime
    usd: float
    expected_usd: float
    score: float
    open: bool
    also: tuple[str, ...] = ()

    @property
    def impact_usd(self) -> float:
        """What it has cost beyond the expected so far."""
        return self.usd - self.expected_usd

    def __str__(self) -> str:
        more = f", +{self.impact_usd / self.expected_usd:.0%}" if self.expected_usd > 0 else ""
        going = "goes on" if self.open else f"until {self.last:%Y-%m-%d}"
        return f"{self.scope}: {self.kind} from {self.start:%Y-%m-%d}, {going}: {self.impact_usd:,.2f} USD{more}"


@dataclass(frozen=True)
class Detection:
    """What the detector made of a series.

    Attributes:
        series: the complete part of the series, which is what was judged.
        expected: of each step, as known before it; shape (steps,).
        upper: the spend from which a step is out of the ordinary; infinite where it was not judged.
        clean: the series without what was out of the ordinary and without months' edges, at each step's own level.
        anomalies: by their beginning.
        baseline: as it stood after the last step; its `edge(time)` tells a month's edge to come.
    """

    series: SpendSeries
    expected: np.ndarray
    upper: np.ndarray
    clean: np.ndarray
    anomalies: tuple[Anomaly, ...]
    baseline: Baseline = field(repr=False)


@dataclass
class _Found:
    kind: Kind
    steps: list[int] = field(default_factory=list)
    expected: dict[int, float] = field(default_factory=dict)
    score: float = 0.0
    lasting: bool = False  # it drifts, or became the new level


def detect(series: SpendSeries, rule: Rule | None = None) -> Detection:
    """Go through a series, using for each step only those before it.

    Args:
        series: daily or hourly spend; its incomplete steps are left out, since half a day looks like a saving.
        rule: DAILY or HOURLY by the series' step when left out.

    Returns:
        A `Detection`; without anomalies where the series is too short to judge.
    """
    rule = rule or (DAILY if series.step == DAY else HOURLY)
    whole = series.complete()
    usd, times = np.array(whole.usd), whole.times
    baseline, found = Baseline(rule), list[_Found]()
    expected, upper, clean = np.zeros(len(usd)), np.full(len(usd), np.inf), usd.copy()
    high: list[int] = []
    low: list[int] = []
    drifting = False
    rare: Rare | None = None
    for now, (actual, time) in enumerate(zip(usd, times, strict=True)):
        edge = baseline.edge(time)
        if is_rare(usd[:now] if rare is None else rare.clean, rule, rare is not None):
            rare = rare or Rare(rule, usd[:now].copy(), usd[:now].copy())
            expected[now], upper[now], clean[now] = _rarely(found, rare, baseline, actual, time)
            continue
        if rare is not None:  # it runs on most days now
            rare, high, low, drifting = None, [], [], False
            baseline = baseline.anew(usd[max(0, now - STAYED * rule.season) : now])
        ordinary = baseline.expected()
        expected[now] = ordinary + edge
        scatter = baseline.scatter(ordinary)
        new = _unused(usd[:now], rule)
        excess = actual - expected[now]
        least = rule.new_usd if new else max(rule.floor_usd, rule.share * expected[now], rule.z * scatter)
        judged = now >= rule.warm
        if not high:
            baseline.note_edge(time, actual, ordinary)
        if judged:
            upper[now] = expected[now] + least
        if judged and excess > least:
            after = rule.quiet if found and found[-1].lasting else JOIN + 1
            _join(found, now, expected[now], excess / max(scatter, 1e-9), "new" if new else "jump", after)
            if high:
                baseline.forget_edge(times[high[-1]])
            high, low = [*high, now], []
            clean[now] = ordinary
            baseline.add(actual - edge, ordinary, None)
        elif judged and -excess > max(rule.share * expected[now], rule.z * scatter):
            low = [*low, now]
            high = [] if len(low) > 1 else high  # one day without a bill doesn't end an excess
            clean[now] = ordinary
            baseline.add(actual - edge, ordinary, None)
        else:
            high, low = ([] if high and now - high[-1] > JOIN else high), []
            missing = not actual and ordinary > 0  # before the detector judges, too, a day without a bill is a gap
            clean[now] = ordinary if missing else actual - edge
            known = clean[now] if missing else actual - edge
            baseline.add(known, clean[now], excess if now >= rule.season and not missing else None)
        for steps, enough in ((high, rule.settle), (low, rule.fall)):
            if len(steps) >= enough:
                lasted = now - steps[0] + 1
                baseline.settle(lasted)
                clean[steps[0] : now + 1] = baseline.clean[-lasted:]
                if steps is high:
                    found[-1].lasting = True
                high, low = [], []
        level, before = baseline.drift()
        gone = max(rule.floor_usd, rule.rise * before)
        drifting = judged and level - before > (0.5 if drifting else 1.0) * gone and before > 0
        if drifting:
            _join(found, now, min(expected[now], before), (level - before) / max(scatter, 1e-9), "drift", rule.quiet)
    anomalies = tuple(_anomaly(whole, one, usd, times) for one in found)
    return Detection(whole, expected, upper, clean, anomalies, baseline)


def _unused(before: np.ndarray, rule: Rule) -> bool:
    return len(before) >= rule.warm and not before[-4 * rule.season :].any()


def _rarely(
    found: list[_Found], rare: Rare, baseline: Baseline, actual: float, time: datetime
) -> tuple[float, float, float]:
    """Judge a step of a series that runs on few days; gives its expected and upper spend, and what it is cleaned."""
    now, rule = len(rare.raw), rare.rule
    edge, goes_on = baseline.edge(time), bool(rare.odd)
    told = rare.judge(actual - edge)
    baseline.note_edge(time, actual, max(told.ordinary, told.expected))
    new = _unused(rare.raw[:-1], rule) and actual > rule.new_usd
    if new or told.excess:
        # A week without a run in between ends nothing; an ordinary run does.
        after = rule.quiet if goes_on else JOIN + 1
        ordinary = 0.0 if new else told.ordinary + edge
        _join(found, now, ordinary, (actual - ordinary) / max(told.scatter, 1e-9), "new" if new else "jump", after)
    baseline.raw, baseline.clean = rare.raw, rare.clean
    return told.expected + edge, told.upper + edge, float(rare.clean[-1])


def _join(found: list[_Found], now: int, expected: float, score: float, kind: Kind, after: int) -> None:
    """Put a step to the last anomaly, or begin another if more than `after` steps lie between."""
    last = found[-1] if found else None
    if last is None or now - last.steps[-1] > after:
        last = _Found(kind)
        found.append(last)
    last.lasting |= kind == "drift"
    if now not in last.expected:
        last.steps.append(now)
        last.expected[now] = expected
    last.score = max(last.score, score)


def _anomaly(series: SpendSeries, found: _Found, usd: np.ndarray, times: list[datetime]) -> Anomaly:
    first, last = found.steps[0], found.steps[-1]
    digest = hashlib.sha256(f"{series.name} {times[first].isoformat()}".encode()).hexdigest()[:12]
    spent, expected = float(usd[found.steps].sum()), float(sum(found.expected.values()))
    going = len(usd) - 1 - last <= 0
    return Anomaly(
        digest, series.name, found.kind, times[first], times[last], spent, expected, float(found.score), going
    )
