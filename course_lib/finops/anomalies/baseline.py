"""What a step of spend was expected to cost, from the steps before it: level, slope, season, scatter, month's edges.

Level and slope come from the means of whole seasons before the step (a whole week has no weekday pattern), the season
from the median over past weeks of a weekday's distance from its week. What was found to be out of the ordinary has
been replaced by what was expected, so that neither a spike nor an export that failed bends the baseline; a change that
lasts moves the whole past with it. Robust location and scale: median and MAD as in Rousseeuw and Croux, "Alternatives
to the median absolute deviation", JASA 88 (1993).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from course_lib.finops.anomalies.rule import Rule

CONSISTENT = 1.4826  # makes the MAD the standard deviation of a normal distribution
LEAST_SCATTER = 0.01  # of the level: a bill without noise is not a reason to report every cent
SCATTER = 4  # seasons whose residuals say how much a step scatters
BLOCKS = 6  # seasons from which the slope is taken
LATELY = 70  # days: a charge at a month's edge is known from one of the last two


@dataclass
class Baseline:
    """The past as it would have been without what was out of the ordinary; grows step by step.

    Attributes:
        rule: season and memory.
        clean: the past without anomalies, at today's level.
        raw: the past with them, at today's level.
        residuals: actual less expected of ordinary steps.
        edges: by "first" and "last", when and by how much a month's edge exceeded the expected.
    """

    rule: Rule
    clean: np.ndarray = field(default_factory=lambda: np.zeros(0))
    raw: np.ndarray = field(default_factory=lambda: np.zeros(0))
    residuals: list[float] = field(default_factory=list)
    edges: dict[str, list[tuple[datetime, float]]] = field(default_factory=dict)

    def expected(self) -> float:
        """The next step's expected spend without a month's edge, never negative."""
        season = self.rule.season
        past = self.clean[-self.rule.memory :]
        if len(past) < season:
            return float(np.median(past)) if len(past) else 0.0
        blocks = len(past) // season
        means = self._blocks(self.clean, blocks).mean(axis=1)  # (weeks,)
        slope = float(np.median(np.diff(means[-BLOCKS:]))) if blocks > 3 else 0.0  # for a season
        # The distance from the week is taken of what was really spent: from the cleaned steps the season would only
        # ever learn what it believes already. This phase stands first in each block, which the slope makes low.
        first = -slope * (season - 1) / 2 / season
        offset = float(np.median(self._blocks(self.raw, blocks)[:, 0] - means)) - first
        return max(0.0, float(means[-1]) + slope * (season + 1) / 2 / season + offset)

    def _blocks(self, steps: np.ndarray, blocks: int) -> np.ndarray:
        """The last whole seasons, shape (blocks, season); the next step has the phase of column 0."""
        return steps[len(steps) - blocks * self.rule.season :].reshape(blocks, self.rule.season)

    def scatter(self, level: float) -> float:
        """Standard deviation of the ordinary steps around the expected, robustly."""
        lately = np.array(self.residuals[-SCATTER * self.rule.season :] or [0.0])
        mad = float(np.median(np.abs(lately - np.median(lately))))
        return max(CONSISTENT * mad, LEAST_SCATTER * level)

    def edge(self, time: datetime) -> float:
        """What a month's edge adds at this step, as it did a month before; 0 on other days."""
        lately = [usd for when, usd in self.edges.get(_edge(time), ()) if time - when < timedelta(days=LATELY)]
        return max(0.0, lately[-1]) if lately and self.rule.month_edges else 0.0

    def note_edge(self, time: datetime, usd: float, expected: float) -> None:
        """Remember by how much a month's edge exceeded the expected, if that is worth a charge of its own."""
        if name := _edge(time):
            worth = usd - expected > max(self.rule.floor_usd, self.rule.share * expected) / 2
            self.edges.setdefault(name, []).append((time, usd - expected if worth else 0.0))

    def forget_edge(self, time: datetime) -> None:
        """What was at this step was no month's edge: it went on."""
        self.edges[_edge(time)] = [one for one in self.edges.get(_edge(time), ()) if one[0] != time]

    def add(self, usd: float, clean: float, residual: float | None) -> None:
        """The next step as it was and cleaned, and its residual if it was ordinary."""
        self.raw, self.clean = np.append(self.raw, usd), np.append(self.clean, clean)
        if residual is not None:
            self.residuals.append(residual)

    def anew(self, steps: np.ndarray) -> Baseline:
        """The baseline of a series that is another one since these steps; what is known of months' edges stays."""
        return Baseline(self.rule, steps.copy(), steps.copy(), edges=self.edges)

    def settle(self, steps: int) -> None:
        """A change that has lasted for `steps` is the new level: all seasons before move to it, and the slope is 0."""
        season = self.rule.season
        until = len(self.clean) - steps
        blocks = until // season
        if blocks:
            past = slice(until - blocks * season, until)
            before = self.raw[past].reshape(blocks, season)
            means = self.clean[past].reshape(blocks, season).mean(axis=1)
            offsets = np.median(before - means[:, None], axis=0)  # (season,), of the phases from `until` on
            level = float(np.median(self.raw[until:] - np.resize(offsets, steps)))
            moves = np.repeat(level - means, season)
            self.clean[past] += moves
            self.raw[past] += moves
        self.clean[until:] = self.raw[until:]

    def drift(self) -> tuple[float, float]:
        """The last season's mean, and what the seasons before had let expect; (0, 0) without enough of a past."""
        season = self.rule.season
        blocks = len(self.clean) // season
        if blocks < 5:
            return 0.0, 0.0
        means = self._blocks(self.clean, blocks).mean(axis=1)
        earlier = means[-7:-3]
        return float(means[-1]), max(0.0, float(np.median(earlier)))


def _edge(time: datetime) -> str:
    if time.day == 1:
        return "first"
    return "last" if (time + timedelta(days=1)).day == 1 else ""
