"""What projects want and what can be rented: the two tables that the budget optimiser chooses from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from course_lib.catalog import instance, is_number
from course_lib.finops.optimize.errors import OptimizeError

HOURS_PER_MONTH = 730.0  # 8,760 / 12, as AWS's calculator has it


@dataclass(frozen=True)
class Demand:
    """One project's wish for a month.

    Attributes:
        project: its name.
        chip_hours: hours of work on one chip of relative speed 1, without interruptions.
        runs_on: accelerator key → speed for this work, relative to the chip in which `chip_hours` are counted; what is
            not in it can't run the work. Speeds are yours to measure.
        value: what doing it is worth, in any unit that all projects share: a priority, or money.
        deadline_hours: by when, from now.
        interruptible: whether it can run on spot.
        required: whether a plan without it is none.

    Raises:
        OptimizeError: for a number out of range, or no chip.
    """

    project: str
    chip_hours: float
    runs_on: Mapping[str, float] = field(default_factory=lambda: {"trainium1": 1.0})
    value: float = 1.0
    deadline_hours: float = HOURS_PER_MONTH
    interruptible: bool = False
    required: bool = False

    def __post_init__(self) -> None:
        OptimizeError.check_positive(f"chip_hours of {self.project}", self.chip_hours)
        OptimizeError.check_not_negative(f"value of {self.project}", self.value)
        OptimizeError.check_positive(f"deadline_hours of {self.project}", self.deadline_hours)
        if not self.runs_on:
            raise OptimizeError.of(f"runs_on of {self.project}", {}, "names no chip", 'give one: {"trainium1": 1.0}')
        for chip, speed in self.runs_on.items():
            OptimizeError.check_positive(f"speed of {self.project} on {chip}", speed)


@dataclass(frozen=True)
class Offer:
    """One way to rent one type of machine.

    Attributes:
        instance: its type.
        accelerator, chips: what is in it.
        purchase: "on_demand", "spot" or "capacity_block".
        usd_per_hour: of one instance.
        time_per_useful: wall time over useful time, at least 1; above 1 on spot, where interruptions cost time.
        limit: instances at the same time, by quota or market; None for no limit.
        in_blocks: bought as one Capacity Block, of a length that is sold, instead of by the second.

    Raises:
        OptimizeError: for a number out of range.
    """

    instance: str
    accelerator: str
    chips: int
    purchase: str
    usd_per_hour: float
    time_per_useful: float = 1.0
    limit: int | None = None
    in_blocks: bool = False

    def __post_init__(self) -> None:
        OptimizeError.check_count(f"chips of {self.name}", self.chips)
        OptimizeError.check_positive(f"usd_per_hour of {self.name}", self.usd_per_hour)
        if self.limit is not None:
            OptimizeError.check_count(f"limit of {self.name}", self.limit, 0)
        if not is_number(self.time_per_useful) or self.time_per_useful < 1:
            raise OptimizeError.of(
                f"time_per_useful of {self.name}", self.time_per_useful, "is less than 1", "give e.g. 1.19"
            )

    @property
    def name(self) -> str:
        """Type and purchase in words."""
        return f"{self.instance} ({self.purchase.replace('_', ' ')})"


def catalog_offers(
    names: Iterable[str],
    *,
    region: str | None = None,
    purchases: Iterable[str] = ("on_demand", "spot", "capacity_block"),
    spot_share: float | None = None,
    spot_time_per_useful: float = 1.0,
    limits: Mapping[str, int] | None = None,
) -> list[Offer]:
    """Offers at the catalog's dated prices; a way of purchase without a known price is left out.

    Args:
        names: instance types.
        region: where; None takes the catalog's first choice.
        purchases: "on_demand", "spot", "capacity_block".
        spot_share: spot over on-demand price where the catalog has no dated spot price; None makes no offer there.
        spot_time_per_useful: from `arithmetic.time_per_useful_time`.
        limits: instance type → instances at the same time, for each way of purchase.

    Raises:
        CatalogError: for a type or a way of purchase that the catalog does not hold.
        OptimizeError: for a number out of range.

    Source: the catalog's prices; the lengths of Capacity Blocks, see `prices.block_days`.
    """
    found = []
    for name in names:
        spec = instance(name)
        listed = spec.price("on_demand", region)
        for purchase in purchases:
            row = spec.price(purchase, region)
            price = None if row is None else row.usd_per_hour
            if price is None and purchase == "spot" and spot_share and listed and listed.usd_per_hour:
                price = listed.usd_per_hour * spot_share
            if price is not None:
                found.append(
                    Offer(
                        spec.name,
                        spec.accelerator,
                        spec.accelerators,
                        purchase,
                        price,
                        spot_time_per_useful if purchase == "spot" else 1.0,
                        (limits or {}).get(spec.name),
                        purchase == "capacity_block",
                    )
                )
    return found
