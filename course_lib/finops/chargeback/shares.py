"""What an allocation says: one share for each team, and the rows that belong to no team, each under its own name."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from course_lib.finops.chargeback.errors import ChargebackError

if TYPE_CHECKING:
    import pandas as pd

IDLE, UNTAGGED, SHARED, CREDITS = "__idle__", "__untagged__", "__shared__", "__credits__"
PARTS = ("usage", "shared", "idle", "tax", "credit")


@dataclass(frozen=True)
class Item:
    """One line of what a team used.

    Attributes:
        service: such as "Amazon Elastic Compute Cloud".
        what: the SKU's meter, or the charge's description.
        quantity: in `unit`; 0 where rows have different units or none.
        unit: such as "Hours".
        usd: in whole cents of the billing currency.
    """

    service: str
    what: str
    quantity: float
    unit: str
    usd: Decimal


@dataclass(frozen=True)
class Share:
    """What one team pays, in whole cents of the billing currency.

    Attributes:
        name: the tag's value, or "__idle__", "__untagged__", "__shared__", "__credits__".
        usage: what carries its tag.
        shared: its part of shared costs.
        idle: its part of idle capacity, 0 when idle is kept apart; the whole of it in the row "__idle__".
        tax: its taxes.
        credit: credits and refunds, 0 or less.
        items: what `usage` consists of; adds up to it.
    """

    name: str
    usage: Decimal = Decimal(0)
    shared: Decimal = Decimal(0)
    idle: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)
    credit: Decimal = Decimal(0)
    items: tuple[Item, ...] = field(default=(), repr=False)

    @property
    def total(self) -> Decimal:
        """What it adds up to."""
        return self.usage + self.shared + self.idle + self.tax + self.credit


@dataclass(frozen=True)
class Allocation:
    """A bill, divided. Always: `allocated + idle + unallocated + credits == bill`, to the cent.

    Attributes:
        by: the tag.
        cost: the column that was divided, such as "EffectiveCost".
        months: the billing periods in it, such as ("2026-12",).
        currency: of all amounts.
        bill: the column's sum, in cents.
        teams: one share for each team, the largest first; none is negative.
        apart: "__idle__", "__untagged__", "__shared__" and "__credits__", as far as there is such a cost; the last is
            what credits left over when all charges were paid, and the only row that may be negative.
    """

    by: str
    cost: str
    months: tuple[str, ...]
    currency: str
    bill: Decimal
    teams: tuple[Share, ...]
    apart: tuple[Share, ...]

    @property
    def allocated(self) -> Decimal:
        """What teams pay together."""
        return sum((share.total for share in self.teams), Decimal(0))

    @property
    def idle(self) -> Decimal:
        """Paid for and used by nobody."""
        return self._of(IDLE)

    @property
    def unallocated(self) -> Decimal:
        """Untagged charges, and shared costs that no rule could divide."""
        return self._of(UNTAGGED) + self._of(SHARED)

    @property
    def credits(self) -> Decimal:
        """Credits left over, 0 or less."""
        return self._of(CREDITS)

    @property
    def shares(self) -> tuple[Share, ...]:
        """All rows: teams, then what is kept apart."""
        return (*self.teams, *self.apart)

    def share(self, name: str) -> Share:
        """One team's share.

        Raises:
            ChargebackError: for a name that has none; lists those that have.
        """
        for share in self.shares:
            if share.name == name:
                return share
        there = ", ".join(share.name for share in self.shares)
        raise ChargebackError.of(self.by, name, f"has no charges; there are: {there}", "name one of these")

    def frame(self) -> pd.DataFrame:
        """Columns: name, kind ("team" or "apart"), usage, shared, idle, tax, credit, total (floats, currency units)."""
        import pandas as pd

        rows = [
            {
                "name": share.name,
                "kind": kind,
                **{part: float(getattr(share, part)) for part in PARTS},
                "total": float(share.total),
            }
            for kind, shares in (("team", self.teams), ("apart", self.apart))
            for share in shares
        ]
        return pd.DataFrame(rows, columns=["name", "kind", *PARTS, "total"])

    def _of(self, name: str) -> Decimal:
        return sum((share.total for share in self.apart if share.name == name), Decimal(0))
