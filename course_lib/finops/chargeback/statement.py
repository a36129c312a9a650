"""A team's statement: what it used, its part of what is shared, and the sum; as a frame, CSV or Markdown.

Chargeback books the sum on the team's account; showback shows it and books nothing. The figures are the same.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from course_lib.finops.chargeback.shares import Allocation, Share

if TYPE_CHECKING:
    import pandas as pd

Purpose = Literal["chargeback", "showback"]
COLUMNS = ("service", "what", "quantity", "unit", "amount")
WORDS = {
    "shared": "part of shared costs",
    "idle": "part of idle capacity",
    "tax": "taxes",
    "credit": "credits and refunds",
}
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run a cell that begins so


@dataclass(frozen=True)
class Statement:
    """One team's statement.

    Attributes:
        by, team: the tag and its value.
        months: the billing periods.
        currency: of all amounts.
        share: the amounts.
        of_bill: the team's part of the whole bill, a fraction; 0 for an empty bill.
        purpose: "chargeback" or "showback".
    """

    by: str
    team: str
    months: tuple[str, ...]
    currency: str
    share: Share
    of_bill: float
    purpose: Purpose

    def lines(self) -> list[tuple[str, str, float | None, str, Decimal]]:
        """(service, what, quantity, unit, amount); the amounts add up to `share.total`, to the cent."""
        found: list[tuple[str, str, float | None, str, Decimal]] = [
            (item.service, item.what, item.quantity if item.unit else None, item.unit, item.usd)
            for item in self.share.items
        ]
        for part, words in WORDS.items():
            amount = getattr(self.share, part)
            if amount:
                found.append(("", words, None, "", amount))
        return found

    def frame(self) -> pd.DataFrame:
        """Columns service, what, quantity, unit, amount (float); the last row is the total."""
        import pandas as pd

        rows = [(*line[:4], float(line[4])) for line in self.lines()]
        return pd.DataFrame([*rows, ("", "total", None, "", float(self.share.total))], columns=list(COLUMNS))

    def csv(self) -> str:
        """The statement as CSV under a line of names; a cell that a spreadsheet would run gets an apostrophe."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow((*COLUMNS[:4], f"amount_{self.currency.lower()}"))
        for line in self._cells():
            writer.writerow(["'" + cell if cell.startswith(FORMULA) else cell for cell in line[:4]] + [line[4]])
        return text.getvalue()

    def markdown(self) -> str:
        """The statement as a Markdown table under a line that says whose it is."""
        when = ", ".join(self.months) or "no month"
        booked = "booked on the team's account" if self.purpose == "chargeback" else "shown, and booked nowhere"
        head = f"**{_plain(self.by)}: {_plain(self.team)}**, {when}: {self.share.total:,.2f} {self.currency}, {booked}"
        rows = ["| service | what | quantity | unit | amount |", "|---|---|---:|---|---:|"]
        rows += ["| " + " | ".join(_plain(cell) for cell in line) + " |" for line in self._cells()]
        return "\n".join([f"{head} ({self.of_bill:.1%} of the bill).", "", *rows, ""])

    def _cells(self) -> Iterator[tuple[str, ...]]:
        for service, what, quantity, unit, amount in self.lines():
            yield service, what, "" if quantity is None else f"{quantity:.2f}", unit, f"{amount:.2f}"
        yield "", "total", "", "", f"{self.share.total:.2f}"


def statement(allocation: Allocation, team: str, purpose: Purpose = "showback") -> Statement:
    """The statement of one team, or of a row such as "__untagged__".

    Raises:
        ChargebackError: for a team without charges.
    """
    share = allocation.share(team)
    part = float(share.total / allocation.bill) if allocation.bill else 0.0
    return Statement(allocation.by, team, allocation.months, allocation.currency, share, part, purpose)


def _plain(text: str) -> str:
    """Text that no Markdown reads as more: no cell's or line's end, no HTML, no link."""
    return re.sub(r"([\\|<\[`])", r"\\\1", " ".join(text.splitlines()))
