"""Each way to do one project: an offer, how many instances of it, for how long, at what cost; or why not."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from course_lib.finops.optimize.demands import Demand, Offer
from course_lib.finops.prices import block_days
from course_lib.finops.prices.commitments import HOURS_PER_DAY, TERMINATED_BEFORE

TOLERANCE = 1e-9  # of a count that a division made
USABLE_OF_A_DAY = HOURS_PER_DAY - float(TERMINATED_BEFORE)  # the shortest block
MOST_COUNTS = 64  # counts tried for an offer in blocks, from the smallest that meets the deadline


@dataclass(frozen=True)
class Option:
    """One project done in one way.

    Attributes:
        demand, offer: which.
        instances: at the same time, from the start to the end.
        hours: of wall time.
        cents: what is paid, in whole cents, rounded up.
    """

    demand: Demand
    offer: Offer
    instances: int
    hours: float
    cents: int

    @property
    def usd(self) -> float:
        """What is paid."""
        return self.cents / 100


def options_of(demand: Demand, offer: Offer) -> tuple[list[Option], str]:
    """The options of a demand with an offer, and when there is none, the reason.

    Work is taken to speed up in proportion to the instances; on demand and on spot the cost then does not depend on
    their number, and the smallest number that meets the deadline takes least of the limit. In blocks, larger numbers
    may waste less of their blocks, so each is an option.

    Source: wall hours = chip_hours / (speed chips) * time_per_useful / instances.
    """
    speed = demand.runs_on.get(offer.accelerator)
    if speed is None:
        return [], f"{demand.project} does not run on {offer.accelerator}"
    if offer.purchase == "spot" and not demand.interruptible:
        return [], f"{demand.project} can't be interrupted"
    hours = demand.chip_hours / (speed * offer.chips) * offer.time_per_useful
    fewest = max(ceil(hours / demand.deadline_hours - TOLERANCE), 1)
    if offer.limit is not None and fewest > offer.limit:
        return [], (
            f"within {demand.deadline_hours:g} h it needs {fewest} of {offer.name} at once, "
            f"and {offer.limit} is the limit"
        )
    most = fewest
    if offer.in_blocks:
        most = min(max(ceil(hours / USABLE_OF_A_DAY), fewest), fewest + MOST_COUNTS)
        most = most if offer.limit is None else min(most, offer.limit)
    found: list[Option] = []
    for count in range(fewest, most + 1):
        wall = hours / count
        paid = _paid(wall - TOLERANCE) if offer.in_blocks else wall
        cents = None if paid is None else ceil(count * paid * offer.usd_per_hour * 100 - 1e-6)
        if cents is not None and all(cents < one.cents for one in found):  # more instances must save something
            found.append(Option(demand, offer, count, wall, cents))
    return found, "" if found else f"{most} of {offer.name} take {hours / most:,.0f} h, more than any block has"


def _paid(wall: float) -> float | None:
    days = block_days(max(wall, 0.0))
    return None if days is None else days * HOURS_PER_DAY
