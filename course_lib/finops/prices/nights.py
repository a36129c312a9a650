"""Stop the instances for the night, or keep them: the restart's time against the idle time."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from course_lib.finops.prices.amounts import Number, above_zero, exact
from course_lib.finops.prices.errors import check_fleet

SHORTEST_HOURS = Decimal(1) / 60  # each start is charged a minute at least


@dataclass(frozen=True)
class NightChoice:
    """One pause of some instances.

    Args:
        keep_usd: what the pause costs if they run on.
        stop_usd: what stopping costs: the restart, paid and not useful, and the people who wait for it.
        break_even_hours: a longer pause is worth a stop.
    """

    keep_usd: Decimal
    stop_usd: Decimal
    break_even_hours: Decimal

    @property
    def stop(self) -> bool:
        """Whether stopping is cheaper."""
        return self.stop_usd < self.keep_usd

    @property
    def saving_usd(self) -> Decimal:
        """What the cheaper way saves against the other."""
        return abs(self.keep_usd - self.stop_usd)


def stop_or_keep(
    idle_hours: Number,
    restart_hours: Number,
    usd_per_hour: Number,
    *,
    instances: int = 1,
    waiting_usd_per_hour: Number = 0,
) -> NightChoice:
    """Compare keeping instances through a pause with stopping them.

    Volumes cost the same in both cases and are left out. Not counted: that capacity may be gone in the morning, which
    no price says; and what lies on instance store, which a stop erases. In a Capacity Block a stop saves nothing.

    Args:
        idle_hours: length of the pause.
        restart_hours: from the start call until training goes on: boot, image, compiling, loading the checkpoint.
        usd_per_hour: of one instance.
        instances: how many.
        waiting_usd_per_hour: what waiting people cost meanwhile.

    Raises:
        PriceError: for a number out of range.

    Source: "Stop and start Amazon EC2 instances" (no charge while stopped) and "What is Amazon EC2" (60 seconds at
        least for each start), Amazon EC2 User Guide.
    """
    check_fleet(instances)
    fleet = above_zero("usd_per_hour", usd_per_hour) * instances
    waiting = exact("waiting_usd_per_hour", waiting_usd_per_hour)
    restart = exact("restart_hours", restart_hours)
    stop = max(restart, SHORTEST_HOURS) * fleet + restart * waiting
    return NightChoice(exact("idle_hours", idle_hours) * fleet, stop, stop / fleet)
