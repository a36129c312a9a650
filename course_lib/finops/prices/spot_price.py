"""The spot price from which on on-demand is cheaper, for a run that checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from course_lib.arithmetic import checkpoint_interval, spot_break_even, time_per_useful_time
from course_lib.finops.prices.amounts import Number, above_zero


@dataclass(frozen=True)
class SpotBreakEven:
    """Spot with checkpoints against on-demand.

    Args:
        interval_seconds: work between checkpoints on spot.
        time_per_useful_spot: paid time over useful time on spot.
        time_per_useful_on_demand: the same on demand; 1 when nothing fails there.
        ratio: highest spot price as a share of on-demand at which spot still costs less.
        highest_usd_per_hour: the same in USD.
        saving: share of the on-demand bill that spot saves at the spot price that was given (below 0 it costs more),
            or None without one.
    """

    interval_seconds: float
    time_per_useful_spot: float
    time_per_useful_on_demand: float
    ratio: float
    highest_usd_per_hour: Decimal
    saving: float | None


def spot_against_on_demand(
    on_demand_usd_per_hour: Number,
    *,
    mtbf_seconds: float,
    checkpoint_seconds: float,
    restart_seconds: float = 0.0,
    interval_seconds: float | None = None,
    spot_usd_per_hour: Number | None = None,
    on_demand_mtbf_seconds: float | None = None,
) -> SpotBreakEven:
    """The highest spot price that is worth its interruptions, by Daly's formula.

    Waiting for capacity, a deadline and AWS's free first hour are not in it: `course_lib.finops.spot.compare_purchase`
    simulates them.

    Args:
        on_demand_usd_per_hour: of one instance.
        mtbf_seconds: mean time between interruptions of the whole job on spot.
        checkpoint_seconds: time to write one.
        restart_seconds: from an interruption until work goes on.
        interval_seconds: work between checkpoints on spot; Daly's when left out.
        spot_usd_per_hour: today's spot price, for the saving.
        on_demand_mtbf_seconds: mean time between failures on demand, where a long run checkpoints too, at Daly's
            interval; None for a run that never fails there.

    Raises:
        PriceError, ArithmeticInputError: for a number out of range.

    Source: Daly 2006, Future Generation Computer Systems 22(3); cost is price times paid time for both.
    """
    price = above_zero("on_demand_usd_per_hour", on_demand_usd_per_hour)

    def daly(mtbf: float) -> float:
        return checkpoint_interval(checkpoint_seconds, mtbf, method="daly").interval_seconds

    interval = daly(mtbf_seconds) if interval_seconds is None else interval_seconds
    spot = time_per_useful_time(interval, checkpoint_seconds, mtbf_seconds, restart_seconds=restart_seconds)
    demand = 1.0
    if on_demand_mtbf_seconds is not None:
        demand = time_per_useful_time(
            daly(on_demand_mtbf_seconds), checkpoint_seconds, on_demand_mtbf_seconds, restart_seconds=restart_seconds
        )
    ratio = spot_break_even(spot) * demand
    saving = None
    if spot_usd_per_hour is not None:
        saving = 1 - float(above_zero("spot_usd_per_hour", spot_usd_per_hour) / price) / ratio
    return SpotBreakEven(interval, spot, demand, ratio, price * Decimal(str(ratio)), saving)
