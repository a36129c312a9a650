"""The exact sums behind an allocation, in fractions, before anything is rounded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

ZERO = Fraction(0)
Cells = dict[str, Fraction]


@dataclass
class Line:
    """What one item of a team's usage adds up to: its cost, and its quantity where all rows have the same unit."""

    usd: Fraction = ZERO
    quantity: float = 0.0
    units: set[str] = field(default_factory=set)


@dataclass
class Ledger:
    """Owner → part → exact amount; owners are teams and the names of what is kept apart."""

    cells: dict[str, Cells] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Fraction)))
    lines: dict[str, dict[tuple[str, str], Line]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Line))
    )

    def add(self, owner: str, part: str, amount: Fraction) -> None:
        """Add to one cell; nothing makes no row."""
        if amount:
            self.cells[owner][part] += amount

    def total(self, owner: str) -> Fraction:
        """What an owner's cells add up to."""
        return sum(self.cells[owner].values(), ZERO) if owner in self.cells else ZERO

    def totals(self) -> dict[str, Fraction]:
        """All owners' sums."""
        return {owner: self.total(owner) for owner in list(self.cells)}

    def spread(self, amount: Fraction, over: Mapping[str, Fraction], part: str) -> Fraction:
        """Add an amount in proportion; returns what could not be added because all proportions are 0."""
        whole = sum(over.values(), ZERO)
        if not whole:
            return amount
        for owner, share in over.items():
            self.add(owner, part, amount * share / whole)
        return ZERO

    def reduce(self, owner: str, amount: Fraction) -> Fraction:
        """Take a credit off an owner, never below 0; returns what is left of it (0 or less)."""
        taken = max(amount, -self.total(owner))
        self.add(owner, "credit", taken)
        return amount - taken
