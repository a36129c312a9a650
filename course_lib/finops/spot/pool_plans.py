"""Every way to take a job's instances from some pools, priced by the formula, the best of them simulated."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from course_lib.arithmetic import checkpoint_interval, time_per_useful_time
from course_lib.finops.spot.billing import AWS_LINUX, Billing
from course_lib.finops.spot.errors import SpotError, check_count
from course_lib.finops.spot.job import SpotJob, SpotMarket
from course_lib.finops.spot.lifetimes import ExponentialInterruptions, ExponentialWait
from course_lib.finops.spot.outcomes import SimulatedRuns
from course_lib.finops.spot.pools import Pool, job_mean_seconds, pools_by_name
from course_lib.finops.spot.simulate import simulate
from course_lib.finops.spot.traces import SECONDS_PER_HOUR

MOST_ALLOCATIONS = 5_000
MOST_LAUNCHES = 10_000  # a plan that expects more launches in a run is hopeless


@dataclass(frozen=True, eq=False)
class PoolPlan:
    """One way to spread the job over pools.

    Args:
        allocation: pool → instances, pools without any left out.
        usd_per_hour: of all instances.
        job: the job, with Daly's interval for these interruptions.
        mean_seconds_between_interruptions: of the whole job.
        expected_seconds: mean finishing time by the formula, waiting included; infinite for a hopeless plan.
        expected_usd: mean cost by the formula, less the first hours that are free; meant for runs of many launches.
        runs: simulated runs; None where the plan was not among the cheapest by the formula, or is hopeless.
    """

    allocation: Mapping[str, int]
    usd_per_hour: float
    job: SpotJob
    mean_seconds_between_interruptions: float
    expected_seconds: float
    expected_usd: float
    runs: SimulatedRuns | None = None

    @property
    def usd(self) -> float:
        """Mean cost: simulated where there are runs, else by the formula."""
        return self.runs.mean("cost_usd").value if self.runs else self.expected_usd


@dataclass(frozen=True, eq=False)
class PoolComparison:
    """All plans: the simulated ones by their mean cost, then the others by the formula's."""

    plans: tuple[PoolPlan, ...]

    @property
    def cheapest_run(self) -> PoolPlan:
        """The plan whose run costs least."""
        return self.plans[0]

    @property
    def cheapest_hour(self) -> PoolPlan:
        """The plan whose instances cost least per hour."""
        return min(self.plans, key=lambda plan: (plan.usd_per_hour, plan.usd))

    @property
    def cheapest_hour_is_cheapest_run(self) -> bool:
        """Whether looking at the price list alone would have chosen right."""
        return self.cheapest_hour.allocation == self.cheapest_run.allocation


def compare_pools(
    job: SpotJob,
    pools: Sequence[Pool],
    instances: int,
    *,
    billing: Billing = AWS_LINUX,
    simulate_best: int = 5,
    runs: int = 2_000,
    seed: int = 0,
) -> PoolComparison:
    """Try every way to take the instances from the pools.

    After an interruption the job gives all instances back and takes them again together, when all pools have room.
    Those that EC2 took are free in their first hour, those that the job gives back are not. Each plan checkpoints at
    Daly's interval for its own rate of interruptions.

    Args:
        job: its own interval is used only where a checkpoint takes no time.
        pools: with different names.
        instances: of the job, N.
        billing: rules of the bill.
        simulate_best: how many of the plans that the formula finds cheapest are simulated; the plan of the cheapest
            hour always is.
        runs: simulated runs of each.
        seed: of the random numbers.

    Returns:
        The comparison.

    Raises:
        SpotError: for no pool, two of one name, too little room in all of them, or too many ways.
    """
    check_count("instances", instances)
    check_count("simulate_best", simulate_best)
    known = pools_by_name(pools)
    room = [min(instances, instances if pool.at_most is None else pool.at_most) for pool in pools]
    if sum(room) < instances:
        raise SpotError.of("instances", instances, f"find room for {sum(room)} only", "add a pool, or ask for less")
    ways = list(itertools.islice(_spread(instances, room), MOST_ALLOCATIONS + 1))
    if len(ways) > MOST_ALLOCATIONS:
        remedy = "compare fewer pools, or count in groups of instances"
        raise SpotError.of("instances", instances, f"spread over {len(pools)} pools in too many ways", remedy)
    plans = []
    for way in ways:
        allocation = {pool.name: count for pool, count in zip(pools, way, strict=True) if count}
        plans.append(_plan(job, allocation, known, billing))
    plans.sort(key=lambda plan: plan.expected_usd)
    cheapest_hour = min(plans, key=lambda plan: (plan.usd_per_hour, plan.expected_usd))
    chosen = plans[:simulate_best] + [plan for plan in plans[simulate_best:] if plan is cheapest_hour]
    simulated = [_simulated(plan, known, billing, runs, seed) for plan in chosen]
    rest = [plan for plan in plans if plan not in chosen]
    return PoolComparison(tuple(sorted(simulated, key=lambda plan: plan.usd)) + tuple(rest))


def _plan(job: SpotJob, allocation: Mapping[str, int], known: Mapping[str, Pool], billing: Billing) -> PoolPlan:
    mean = job_mean_seconds(allocation, known.values())
    if job.checkpoint_seconds:
        interval = checkpoint_interval(job.checkpoint_seconds, mean, method="daly").interval_seconds
        job = dataclasses.replace(job, interval_seconds=min(interval, job.useful_seconds))
    price = sum(known[name].usd_per_hour * count for name, count in allocation.items())
    if (running := _running_seconds(job, mean)) / mean > MOST_LAUNCHES:
        # a run that never ends might cost nothing, if it dies within each free first hour: that is no bargain
        return PoolPlan(allocation, price, job, mean, math.inf, math.inf)
    wait = _mean_slowest([known[name].mean_wait_seconds for name in allocation])
    expected_seconds = running + wait * (1 + running / mean)  # one wait for the first launch, one per interruption
    share = _taken_share(allocation, known, price, mean)
    expected_usd = price * (running - share * _free_seconds(running, mean, billing)) / SECONDS_PER_HOUR
    return PoolPlan(allocation, price, job, mean, expected_seconds, expected_usd)


def _taken_share(allocation: Mapping[str, int], known: Mapping[str, Pool], price: float, mean: float) -> float:
    """Share of the job's price that an interruption takes on average; the rest the job has to end itself, and pay."""
    taken = mean * math.fsum(known[name].taken_usd_per_second(count) for name, count in allocation.items())
    return min(taken / price, 1.0)  # one pool: 1 but for rounding


def _free_seconds(running: float, mean: float, billing: Billing) -> float:
    """Running time that is not charged: lives that end within the first hour, times launches.

    Source: E[X; X < h] = M - (M + h) e^(-h / M) for exponential X; 1 + running / M launches (Wald's identity).
    """
    hour = min(billing.free_if_interrupted_within_seconds, running)
    return min((1 + running / mean) * (mean - (mean + hour) * math.exp(-hour / mean)), running)


def _running_seconds(job: SpotJob, mean: float) -> float:
    if (job.interval_seconds + job.checkpoint_seconds + job.restart_seconds) / mean > 100:
        return math.inf  # e^100: need not stop the comparison of the others
    ratio = time_per_useful_time(
        job.interval_seconds, job.checkpoint_seconds, mean, restart_seconds=job.restart_seconds
    )
    return job.start_seconds + job.useful_seconds * ratio


def _simulated(plan: PoolPlan, known: Mapping[str, Pool], billing: Billing, runs: int, seed: int) -> PoolPlan:
    mean = plan.mean_seconds_between_interruptions
    if math.isinf(plan.expected_seconds):
        return plan
    market = SpotMarket(
        interruptions=ExponentialInterruptions(mean),
        usd_per_hour=plan.usd_per_hour,
        waits=ExponentialWait([known[name].mean_wait_seconds for name in plan.allocation]),
        billing=billing,
        taken_share=_taken_share(plan.allocation, known, plan.usd_per_hour, mean),
    )
    return dataclasses.replace(plan, runs=simulate(plan.job, market, runs=runs, seed=seed))


def _mean_slowest(means: Sequence[float]) -> float:
    """Mean of the longest of independent exponential times, by inclusion and exclusion over their minima."""
    waits = [mean for mean in means if mean]
    terms = []
    for size in range(1, len(waits) + 1):
        sign = 1 if size % 2 else -1
        terms += [sign / sum(1 / mean for mean in group) for group in itertools.combinations(waits, size)]
    return math.fsum(terms)


def _spread(instances: int, room: Sequence[int]) -> Iterator[tuple[int, ...]]:
    if len(room) == 1:
        if instances <= room[0]:
            yield (instances,)
        return
    for count in range(min(instances, room[0]), -1, -1):
        for others in _spread(instances - count, room[1:]):
            yield (count, *others)
