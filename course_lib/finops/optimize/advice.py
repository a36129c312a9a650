"""A recommendation: what to change, on what evidence, what it saves, what may go wrong, and the command for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal[
    "idle",
    "oversized",
    "better_instance",
    "old_generation",
    "spot_able",
    "stopped_with_volumes",
    "unattached_volume",
    "unattached_address",
]


@dataclass(frozen=True)
class Recommendation:
    """One proposal; nothing is changed by it.

    Attributes:
        kind: what it is about.
        resource: an instance's, volume's or address's id.
        region: where.
        what: the proposal in a few words.
        evidence: what was measured or read, with numbers.
        usd_per_month: saved in 730 hours at list prices; None where a price is unknown.
        risk: what may go wrong.
        command: the AWS CLI command that does it.
        owner, project: from its tags, "" without.
    """

    kind: Kind
    resource: str
    region: str
    what: str
    evidence: str
    usd_per_month: float | None
    risk: str
    command: str
    owner: str = ""
    project: str = ""


@dataclass(frozen=True)
class Advice:
    """All recommendations for an account.

    Attributes:
        now: AWS's time when it was looked at.
        days: how far back utilization was read.
        recommendations: those that save most first; those whose saving is unknown last.
        unmeasured: ids of running instances without any utilization in CloudWatch; nothing is said about their use.
        unseen: region → why it could not be looked at.
    """

    now: datetime
    days: int
    recommendations: tuple[Recommendation, ...]
    unmeasured: tuple[str, ...]
    unseen: dict[str, str]

    @property
    def usd_per_month(self) -> float:
        """What can be saved: for each resource the best of its recommendations, since they exclude each other."""
        best: dict[str, float] = {}
        for one in self.recommendations:
            best[one.resource] = max(best.get(one.resource, 0.0), one.usd_per_month or 0.0)
        return sum(best.values())

    def frame(self) -> pd.DataFrame:
        """One row for each recommendation, a column for each of its attributes."""
        import pandas as pd

        return pd.DataFrame([vars(one) for one in self.recommendations], columns=list(Recommendation.__annotations__))
