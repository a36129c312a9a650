"""A run that can be interrupted, and the market on which it runs: what the simulator and its reference both read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from course_lib.catalog import instance
from course_lib.finops.spot.billing import AWS_LINUX, Billing
from course_lib.finops.spot.errors import SpotError, check_count, check_not_negative, check_positive
from course_lib.finops.spot.lifetimes import ConstantWait, Interruptions, ReplayedInterruptions, Waits
from course_lib.finops.spot.traces import PriceTrace

NOTICE_SECONDS = 120.0
ROUNDING = 1e-9  # of an interval: less work than this is an error of rounding, not a segment


@dataclass(frozen=True)
class SpotJob:
    """A run that saves its state now and then.

    It works `interval_seconds`, stops to write a checkpoint, works on; the last piece of work, shorter or not, is
    followed by a checkpoint too. After an interruption it starts over from the last one that was complete.

    Args:
        useful_seconds: work to do, W.
        interval_seconds: work between two checkpoints, T.
        checkpoint_seconds: time to write one, C; training stands still meanwhile.
        restart_seconds: from the launch of a new instance until work goes on, R: boot, image, compiling, loading.
        start_seconds: the same for the first launch; 0 leaves it out, as Daly's formula does.
        save_on_notice: write one more checkpoint when the interruption notice comes, and stop.
        notice_seconds: time between that notice and the interruption. AWS gives two minutes, as best it can, and none
            before it hibernates. Subtract your polling period: 115 when you look every 5 seconds.

    Raises:
        SpotError: for a time out of range.

    Source: "Spot Instance interruption notices", Amazon EC2 User Guide.
    """

    useful_seconds: float
    interval_seconds: float
    checkpoint_seconds: float
    restart_seconds: float = 0.0
    start_seconds: float = 0.0
    save_on_notice: bool = False
    notice_seconds: float = NOTICE_SECONDS

    def __post_init__(self) -> None:
        check_positive("useful_seconds", self.useful_seconds)
        check_positive("interval_seconds", self.interval_seconds)
        for name in ("checkpoint_seconds", "restart_seconds", "start_seconds", "notice_seconds"):
            check_not_negative(name, getattr(self, name))

    @property
    def saves_on_notice(self) -> bool:
        """Whether a checkpoint on notice is wanted and fits: C is at most the notice."""
        return self.save_on_notice and self.checkpoint_seconds <= self.notice_seconds

    @property
    def quiet_seconds(self) -> float:
        """How long the run takes, with its checkpoints, if nothing ever interrupts it."""
        segments = math.ceil(self.useful_seconds / self.interval_seconds - ROUNDING)
        return self.start_seconds + self.useful_seconds + segments * self.checkpoint_seconds


@dataclass(frozen=True)
class SpotMarket:
    """Where the run's instances come from, what they cost and when they go.

    Args:
        interruptions: lives of the job's instances. A synchronous job dies with its first instance, so this is the
            process of the whole job: see `job_mean_seconds`.
        usd_per_hour: spot price of all of the job's instances together: a number, or a trace.
        waits: time between asking for instances and their launch.
        on_demand_usd_per_hour: price of the same instances on demand, for a deadline's fallback.
        billing: rules of the bill.
        taken_share: share of that price that belongs to the instances which EC2 takes when it interrupts: 1 for a
            single instance, 1 / N for N of one price that go one by one. Only those can be free in their first hour;
            the others of the job you end yourself.
        max_usd_per_hour: the most that you are ready to pay; needs a trace. While the price is above it nothing
            launches, and what runs is interrupted. AWS advises against it because it adds interruptions. You pay the
            spot price in any case, never your maximum: all that it can do is to sit out dear hours, and how much later
            the run then ends is what a simulation with and without it shows.
        price_source: where the price comes from.

    Raises:
        SpotError: for a price that is not above 0, a maximum without a trace or below every price of it.

    Source: "SpotMarketOptions", Amazon EC2 API Reference (MaxPrice: "We do not recommend using this parameter").
    """

    interruptions: Interruptions
    usd_per_hour: float | PriceTrace
    waits: Waits = field(default_factory=ConstantWait)
    on_demand_usd_per_hour: float | None = None
    billing: Billing = AWS_LINUX
    taken_share: float = 1.0
    max_usd_per_hour: float | None = None
    price_source: str = "given by the caller"

    def __post_init__(self) -> None:
        price = self.usd_per_hour
        if not isinstance(price, PriceTrace):
            check_positive("usd_per_hour", price)
        if self.on_demand_usd_per_hour is not None:
            check_positive("on_demand_usd_per_hour", self.on_demand_usd_per_hour)
        check_positive("taken_share", self.taken_share)
        if self.taken_share > 1:
            raise SpotError.of("taken_share", self.taken_share, "must be at most 1", "write 0.25 for one of four")
        if self.max_usd_per_hour is None:
            return
        check_positive("max_usd_per_hour", self.max_usd_per_hour)
        if not isinstance(price, PriceTrace):
            remedy = "give usd_per_hour as a PriceTrace, or no maximum"
            raise SpotError.of("max_usd_per_hour", self.max_usd_per_hour, "means nothing for a constant price", remedy)
        if (lowest := float(price.usd_per_hour.min())) > self.max_usd_per_hour:
            limit = f"is below every price of the trace (lowest {lowest:g})"
            raise SpotError.of("max_usd_per_hour", self.max_usd_per_hour, limit, "leave it out, as AWS advises")

    @property
    def mean_usd_per_hour(self) -> float:
        """The spot price averaged over time."""
        price = self.usd_per_hour
        return price.mean_usd_per_hour if isinstance(price, PriceTrace) else float(price)

    def clock_length_seconds(self) -> float | None:
        """Length of the market's traces, over which runs begin at random moments; None for a market without any."""
        lengths = set()
        if isinstance(self.usd_per_hour, PriceTrace):
            lengths.add(self.usd_per_hour.length_seconds)
        if isinstance(self.interruptions, ReplayedInterruptions):
            lengths.add(self.interruptions.trace.length_seconds)
        if len(lengths) > 1:
            remedy = "cut both to the same stretch of time, so that they wrap around together"
            raise SpotError.of("length_seconds", sorted(lengths), "differs between prices and interruptions", remedy)
        return lengths.pop() if lengths else None


def market_from_catalog(
    name: str, interruptions: Interruptions, *, region: str | None = None, waits: Waits | None = None, count: int = 1
) -> SpotMarket:
    """A market at the newest spot and on-demand prices of the course's catalog.

    Args:
        name: instance type.
        interruptions: lives of the job; no catalog knows them.
        region: as for `Instance.price`.
        waits: time until capacity comes.
        count: instances of the job, of which EC2 is taken to interrupt one at a time.

    Returns:
        The market; `price_source` names the documents and days. A spot price is one sample of a price that moves.

    Raises:
        UnknownNameError: when the catalog has no such instance.
        UnknownPriceError: when nobody published a spot or on-demand price; make a `SpotMarket` with your own.
    """
    check_count("count", count)
    machine = instance(name)
    spot, on_demand = machine.usd_per_hour("spot", region), machine.usd_per_hour("on_demand", region)
    rows = [machine.price(purchase, region) for purchase in ("spot", "on_demand")]
    sources = "; ".join(f"{row.purchase} in {row.region}, {row.date}: {row.source}" for row in rows if row)
    return SpotMarket(
        interruptions=interruptions,
        usd_per_hour=count * spot,
        waits=waits or ConstantWait(),
        on_demand_usd_per_hour=count * on_demand,
        taken_share=1 / count,
        price_source=sources,
    )
