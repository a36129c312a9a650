"""How a company splits what no team ordered for itself: rules that are data, checked where they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, get_args

from course_lib.catalog import is_number
from course_lib.finops.chargeback.errors import ChargebackError
from course_lib.finops.focus import Row, tags_of_row

Method = Literal["even", "proportional", "weights"]
TAG = "tag:"  # in `where`, "tag:env" means the tag `env`, and any other name a column


@dataclass(frozen=True)
class Split:
    """How an amount is divided among teams.

    Attributes:
        method: "even" (the same for each), "proportional" (to what each used directly) or "weights" (fixed).
        weights: team → share of any scale, for "weights" only; 0 takes nothing.

    Raises:
        ChargebackError: for another method, weights without "weights", or one that is negative or no number.
    """

    method: Method = "proportional"
    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ChargebackError.of("method", self.method, "is no way to split", f"use {', '.join(get_args(Method))}")
        if (self.method == "weights") != bool(self.weights):
            raise ChargebackError.of(
                "weights", dict(self.weights), "goes with method='weights' and with no other", "give both or neither"
            )
        for team, weight in self.weights.items():
            if not is_number(weight) or weight < 0:
                raise ChargebackError.of(f"weights[{team!r}]", weight, "must be 0 or more", "give a share such as 0.5")

    def shares(self, used: Mapping[str, Fraction]) -> dict[str, Fraction]:
        """Team → fraction of the amount; the fractions add up to 1, or there are none when all weights are 0.

        Args:
            used: what each team used directly.
        """
        weights: Mapping[str, Fraction]
        if self.method == "even":
            weights = dict.fromkeys(used, Fraction(1))
        elif self.method == "proportional":
            weights = used
        else:
            weights = {team: Fraction(str(weight)) for team, weight in self.weights.items()}
        whole = sum(weights.values(), Fraction(0))
        return {team: weight / whole for team, weight in weights.items() if weight} if whole else {}


@dataclass(frozen=True)
class Shared:
    """A cost that several teams share.

    Attributes:
        name: of the cost, such as "platform".
        split: how it is divided.
        where: which rows belong to it: column → value, or "tag:env" → value for a tag; all must hold. Empty: the rows
            whose tag (the one that is allocated by) has `name` as its value.
    """

    name: str
    split: Split = field(default_factory=Split)
    where: Mapping[str, str] = field(default_factory=dict)

    def covers(self, row: Row, owner: str) -> bool:
        """Whether a row of an owner belongs to this cost."""
        if not self.where:
            return owner == self.name
        tags = tags_of_row(row)
        return all(
            (tags.get(name.removeprefix(TAG)) if name.startswith(TAG) else row.get(name)) == value
            for name, value in self.where.items()
        )
