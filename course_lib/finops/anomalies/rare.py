"""Spend on few days: a project that runs one to three days a week has no weekday's level to hold a day against.

Its days without a bill are no gaps, and a mean over the week makes each run look like an excess. So two things are
judged apart: how much a day costs on which it runs, against the last such days, and how many days it runs in a week,
against the last weeks. Splitting size from interval: Croston, "Forecasting and stock control for intermittent demands",
Operational Research Quarterly 23 (1972).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from course_lib.finops.anomalies.baseline import CONSISTENT, LEAST_SCATTER
from course_lib.finops.anomalies.rule import Rule

IDLE = 0.1  # of a run's cost: less is a disk that waits, and no run
WEEKS = 8  # seasons that say on how many days it runs
STAYED = 3  # seasons with a run on most days after which it is not rare any more


@dataclass(frozen=True)
class Verdict:
    """What the past says of a step, and what became of it.

    Attributes:
        expected: USD as known before the step: a run's cost times how often there is one.
        upper: the spend from which the step is out of the ordinary.
        excess: USD above what an ordinary step of its kind costs; 0 for an ordinary step.
        ordinary: USD that it would have cost.
        scatter: standard deviation of a run's cost, robustly.
    """

    expected: float
    upper: float
    excess: float
    ordinary: float
    scatter: float


@dataclass
class Rare:
    """The past of a series that runs on few days; grows step by step.

    Attributes:
        rule: thresholds.
        raw, clean: the past as it was, and without what was out of the ordinary; shape (steps,).
        odd: steps out of the ordinary that may belong together: at most one ordinary run lies between two of them.
        since: ordinary runs since the last odd step.
    """

    rule: Rule
    raw: np.ndarray
    clean: np.ndarray
    odd: list[int] = field(default_factory=list)
    since: int = 0

    def judge(self, usd: float) -> Verdict:
        """Judge the next step, and take it into the past."""
        rule, now = self.rule, len(self.raw)
        run = self._run()
        lately = self.clean[-rule.memory :]
        active = lately > IDLE * run
        sizes = lately[active]
        scatter = max(CONSISTENT * float(np.median(np.abs(sizes - run))) if len(sizes) else 0.0, LEAST_SCATTER * run)
        expected = run * float(active.mean()) if len(active) else 0.0
        upper = run + max(rule.floor_usd, rule.share * run, rule.z * scatter)
        often = self._often(run)
        if often:
            upper = max(rule.floor_usd, IDLE * run)
        odd = usd > upper
        ordinary = (expected if often else run) if odd else usd
        self.raw = np.append(self.raw, usd)
        self.clean = np.append(self.clean, (0.0 if often else run) if odd else usd)
        if odd:
            self.odd, self.since = [*self.odd, now], 0
            self._settle()
        elif usd > IDLE * run:
            self.since += 1
            self.odd = self.odd if self.since < 2 else []
        return Verdict(expected, upper, usd - ordinary, ordinary, scatter)

    def _run(self) -> float:
        """What a day costs on which it runs: the median of the last ones."""
        lately = self.clean[-self.rule.memory :]
        sizes = lately[_runs(lately)]
        return float(np.median(sizes)) if len(sizes) else 0.0

    def _often(self, run: float) -> bool:
        """Whether one more run in this season would be more than one above the most that there was."""
        season = self.rule.season
        ran = self.clean[-WEEKS * season :] > IDLE * run
        earlier = ran[:-season]  # this week is what is judged
        most = int(np.convolve(earlier, np.ones(season, int)).max()) if len(earlier) else season
        goes_on = bool(self.odd) and self.odd[-1] == len(self.raw) - 1
        # What goes on from yesterday is held against the days as they were; else it would have its own days free.
        before = (self.raw[-season + 1 :] > IDLE * run) if goes_on else ran[-season + 1 :]
        return int(before.sum()) + 1 > most + 1

    def _settle(self) -> None:
        """What has been otherwise for two seasons, on at least `fall` runs, is how it is now."""
        first = self.odd[0]
        if len(self.odd) >= self.rule.fall and len(self.raw) - first > 2 * self.rule.season:
            run = float(np.median(self.raw[self.odd]))
            before = self.clean[:first]
            # What it did before cost less: the runs stay, at today's cost.
            self.clean[:first] = np.where(before > IDLE * self._run(), run, before)
            self.clean[first:] = self.raw[first:]
            self.odd = []


def is_rare(past: np.ndarray, rule: Rule, already: bool) -> bool:
    """Whether the series runs on few days, as far as the steps before say; shape (steps,).

    It does once three of the last four seasons (the first two, where there are no more) had 1 to `rule.few` steps with
    a run, and no longer once each of the last three had at least two more than that: a week of holidays or of overtime
    changes nothing. A series that has cost nothing in all of `rule.memory` is none: it is unknown.
    """
    season = rule.season
    blocks = min(4, len(past) // season)
    if not rule.few or blocks < 2:
        return False
    lately = past[len(past) - blocks * season :]
    runs = _runs(lately).reshape(blocks, season).sum(axis=1)
    if already:
        mostly = blocks >= STAYED and bool((runs[-STAYED:] > rule.few + 1).all())
        return not mostly and bool(past[-rule.memory :].any())
    runs = np.trim_zeros(runs, "f")  # before it began
    return len(runs) > 1 and int(((runs >= 1) & (runs <= rule.few)).sum()) >= min(3, len(runs))


def _runs(steps: np.ndarray) -> np.ndarray:
    """On which of these steps it ran, while it is not known what a run costs; shape (steps,)."""
    return np.asarray(steps > IDLE * steps.max(initial=0.0))
