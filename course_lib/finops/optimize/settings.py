"""What counts as idle or too large, and the prices of what outlives an instance."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from course_lib.catalog import service_prices
from course_lib.finops.optimize.errors import OptimizeError


@cache
def _listed(unit: str) -> dict[str, float]:
    return {row.item: row.usd for row in service_prices() if row.unit == unit}


@dataclass(frozen=True)
class StoragePrices:
    """List prices in us-east-1 of what goes on costing money when an instance is stopped; give your region's.

    Attributes:
        usd_per_gib_month: volume type → price; a type that is not there has no known price.
        usd_per_address_hour: of a public IPv4 address, in use or not.

    Source: the catalog's service_prices.csv, each row with its source and date.
    """

    usd_per_gib_month: dict[str, float] = field(default_factory=lambda: _listed("GB-Mo"))
    usd_per_address_hour: float = field(default_factory=lambda: _listed("Hrs")["public-ipv4"])


@dataclass(frozen=True)
class AdviceSettings:
    """Thresholds; utilizations are fractions of 1.

    Attributes:
        days: how far back utilization is read; an instance must have run that long.
        idle_mean, idle_highest: an instance is idle if its mean and highest utilization are below both.
        measured: share of the hours that must have data.
        fill: how busy the smaller instance may become at the highest moment.
        model, tokens, mfu: the work by which instances are compared, see `arithmetic.run_cost`.
        least_saving: fraction below which another instance is not worth a change.
        checkpoint_seconds, interruption_seconds, restart_seconds: of a spot job: C, M and R in Daly's formula.
        storage: prices.

    Raises:
        OptimizeError: for a number out of range.
    """

    days: int = 14
    idle_mean: float = 0.05
    idle_highest: float = 0.20
    measured: float = 0.5
    fill: float = 0.8
    model: str = "llama3-8b"
    tokens: float = 1e9
    mfu: float = 0.4
    least_saving: float = 0.15
    checkpoint_seconds: float = 120.0
    interruption_seconds: float = 4 * 3600.0
    restart_seconds: float = 600.0
    storage: StoragePrices = field(default_factory=StoragePrices)

    def __post_init__(self) -> None:
        OptimizeError.check_count("days", self.days)
        for name in ("idle_mean", "idle_highest", "measured", "fill", "mfu", "least_saving"):
            value = getattr(self, name)
            OptimizeError.check_positive(name, value)
            if value > 1:
                raise OptimizeError.of(name, value, "is above 1", "give a fraction such as 0.05")
        for name in ("tokens", "interruption_seconds", "checkpoint_seconds"):
            OptimizeError.check_positive(name, getattr(self, name))
        OptimizeError.check_not_negative("restart_seconds", self.restart_seconds)
