"""When spend counts as out of the ordinary: the thresholds of the detector, in dollars, shares and scatter."""

from __future__ import annotations

from dataclasses import dataclass

from course_lib.finops.errors import FinopsError


@dataclass(frozen=True)
class Rule:
    """Thresholds. A step is a day or an hour; all three of floor, share and z have to be exceeded.

    Attributes:
        floor_usd: smallest excess of a step that anybody cares about.
        share: smallest excess as a fraction of what was expected.
        z: smallest excess in standard deviations of the past's scatter (1.4826 times the median absolute deviation).
        season: steps after which the pattern repeats: 7 days, 168 hours.
        memory: steps that are looked back on.
        warm: steps at the beginning that are not judged.
        settle: steps for which an excess has to last to become the new level; it was reported before that.
        fall: the same for spend below the expected, which is no anomaly.
        rise: growth of the last season over the level some seasons before, as a fraction, that counts as a drift.
        quiet: steps after a drift or a new level within which a further excess belongs to the same anomaly.
        new_usd: floor for a key that cost nothing before, such as a region that nobody used.
        few: steps of a season with a run up to which a series counts as one that runs rarely, and has no weekday
            pattern; 0 for never.
        month_edges: whether a charge on a month's first or last day is expected once it has been there a month before.

    Raises:
        FinopsError: for a number out of its range.
    """

    floor_usd: float = 20.0
    share: float = 0.3
    z: float = 4.0
    season: int = 7
    memory: int = 56
    warm: int = 14
    settle: int = 7
    fall: int = 4
    rise: float = 0.35
    quiet: int = 14
    new_usd: float = 1.0
    few: int = 3
    month_edges: bool = True

    def __post_init__(self) -> None:
        for name in ("floor_usd", "share", "z", "rise", "new_usd", "few"):
            FinopsError.check_not_negative(name, getattr(self, name))
        for name in ("settle", "fall", "quiet"):
            FinopsError.check_count(name, getattr(self, name))
        FinopsError.check_count("season", self.season, minimum=2)
        FinopsError.check_count("warm", self.warm, minimum=self.season)
        FinopsError.check_count("memory", self.memory, minimum=2 * self.season)


DAILY = Rule()
HOURLY = Rule(floor_usd=2.0, season=168, memory=672, warm=168, settle=24, fall=12, quiet=24, few=0, month_edges=False)
