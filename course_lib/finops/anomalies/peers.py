"""Two other detectors, to hold ours against: the plain z-score, and residuals of statsmodels' STL.

Both look at the past only, both have the rule's floor and share besides their own threshold, and days that follow on
one another are one report, so that what differs is the baseline. STL: Cleveland et al., "STL: A seasonal-trend
decomposition procedure based on loess", Journal of Official Statistics 6 (1990).
"""

from __future__ import annotations

import numpy as np

from course_lib.finops.anomalies.baseline import CONSISTENT
from course_lib.finops.anomalies.rule import DAILY, Rule
from course_lib.finops.usage import SpendSeries


def z_score_reports(series: SpendSeries, z: float = 3.0, memory: int = 28, rule: Rule = DAILY) -> list[int]:
    """Days on which reports of the plain z-score begin.

    Args:
        series: daily spend.
        z: how many standard deviations above the mean of the last days.
        memory: how many days these are.
        rule: floor and share.
    """
    usd = np.array(series.complete().usd)
    flagged = []
    for now in range(rule.warm, len(usd)):
        past = usd[max(0, now - memory) : now]
        least = max(z * float(past.std(ddof=1)), rule.floor_usd, rule.share * float(past.mean()))
        if usd[now] - past.mean() > least:
            flagged.append(now)
    return beginnings(flagged)


def stl_reports(series: SpendSeries, z: float = 4.0, memory: int = 56, rule: Rule = DAILY) -> list[int]:
    """Days on which reports of a robust STL begin: each day is the last one of its own decomposition.

    Args:
        series: daily spend.
        z: how many standard deviations (by MAD) of the remainder.
        memory: days that are decomposed.
        rule: floor, share and season.
    """
    from statsmodels.tsa.seasonal import STL

    usd = np.array(series.complete().usd)
    flagged = []
    for now in range(max(rule.warm, 2 * rule.season), len(usd)):
        found = STL(usd[max(0, now - memory) : now + 1], period=rule.season, robust=True).fit()
        remainder = found.resid
        scatter = CONSISTENT * float(np.median(np.abs(remainder - np.median(remainder))))
        ordinary = usd[now] - remainder[-1]
        if remainder[-1] > max(z * scatter, rule.floor_usd, rule.share * ordinary):
            flagged.append(now)
    return beginnings(flagged)


def beginnings(flagged: list[int], join: int = 14) -> list[int]:
    """The first days of groups of flagged days that are at most `join` days apart."""
    return [day for number, day in enumerate(flagged) if not number or day - flagged[number - 1] > join]
