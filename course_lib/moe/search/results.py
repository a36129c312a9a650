"""What a search has found: one row for each trial, and the trials that no other one beats in everything."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from course_lib.moe.errors import MoEError
from course_lib.moe.search.space import Setting

Against = Literal["tokens_per_second", "total_parameters"]
LARGER_IS_BETTER = {"tokens_per_second": True, "total_parameters": False}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One combination's run, as far as it went.

    Args:
        number: in the search, from 0 on.
        setting: the combination.
        steps: taken; fewer than the search's where the scheduler stopped it, or its time was over.
        loss: on the validation text after these, nats per token; NaN for a trial that failed.
        tokens_per_second: of training, the median step's. Trials at the same time share the machine.
        active_parameters, total_parameters: by `count_parameters`.
        dropped: share of the validation text's pairs of token and expert that found no room.
        failed: why it has no loss; empty for one that has.
    """

    number: int
    setting: Setting
    steps: int = 0
    loss: float = math.nan
    tokens_per_second: float = math.nan
    active_parameters: int
    total_parameters: int
    dropped: float = math.nan
    failed: str = ""


@dataclass(frozen=True)
class SearchResult:
    """A finished search.

    Args:
        trials: in the order of their numbers.

    Raises:
        MoEError: when no trial has a finite loss, so that there is nothing to compare.
    """

    trials: tuple[Trial, ...]

    def __post_init__(self) -> None:
        if not any(math.isfinite(trial.loss) for trial in self.trials):
            told = "; the first failed so: " + self.trials[0].failed if self.trials else ""
            raise MoEError.of(
                "trials",
                len(self.trials),
                f"hold no finite loss{told}",
                "give steps, seconds or learning_rate that work",
            )

    @property
    def finalists(self) -> tuple[Trial, ...]:
        """The trials that took the most steps: losses after fewer do not compare with theirs."""
        judged = [trial for trial in self.trials if math.isfinite(trial.loss)]
        most = max(trial.steps for trial in judged)
        return tuple(trial for trial in judged if trial.steps == most)

    @property
    def best(self) -> Trial:
        """The finalist with the lowest loss, the first one of equals."""
        return min(self.finalists, key=lambda trial: trial.loss)

    def front(self, against: Against = "tokens_per_second") -> tuple[Trial, ...]:
        """The finalists for which no other is better in one and at least as good in the other, by rising loss.

        Args:
            against: what is weighed against the loss.

        Raises:
            MoEError: for anything else.
        """
        if against not in LARGER_IS_BETTER:
            raise MoEError.of("against", against, "is not known", f"use one of {', '.join(LARGER_IS_BETTER)}")
        sign = -1 if LARGER_IS_BETTER[against] else 1
        kept = pareto_front([(trial.loss, sign * getattr(trial, against)) for trial in self.finalists])
        return tuple(sorted((self.finalists[number] for number in kept), key=lambda trial: trial.loss))

    def table(self) -> list[dict[str, Any]]:
        """One flat row for each trial, for a data frame."""
        rows = []
        for trial in self.trials:
            row = dataclasses.asdict(trial)
            rows.append({"number": row.pop("number"), **row.pop("setting"), **row})
        return rows


def pareto_front(points: Sequence[Sequence[float]]) -> list[int]:
    """Which points no other point dominates: is at most as large everywhere and smaller somewhere.

    Args:
        points: costs of each, all of the same length; smaller is better. Equal points stay together.

    Returns:
        Their numbers, rising.

    Raises:
        MoEError: for a cost that is not a number, which compares with nothing.
    """
    for number, point in enumerate(points):
        if any(math.isnan(cost) for cost in point):
            raise MoEError.of(f"points[{number}]", tuple(point), "holds NaN", "leave out the trials that failed")

    def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
        return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)

    return [number for number, point in enumerate(points) if not any(dominates(other, point) for other in points)]
