"""Prices a schedule on a topology: start-up times, and links that messages of a round share."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from course_lib.arithmetic.collectives import Collective, bus_bandwidth_factor
from course_lib.arithmetic.errors import ArithmeticInputError, check_not_negative
from course_lib.arithmetic.network.fair_share import drain_seconds
from course_lib.arithmetic.network.message import Message, Schedule
from course_lib.arithmetic.network.topology import Topology


@dataclass(frozen=True)
class PhaseTime:
    """What one phase takes.

    Args:
        label: as in the schedule; phases of one label that follow one another are one.
        rounds: how many.
        seconds: of all of them.
    """

    label: str
    rounds: int
    seconds: float


@dataclass(frozen=True)
class Simulation:
    """What a collective of one size takes.

    Args:
        op: the collective.
        algorithm: of the schedule.
        ranks: how many took part.
        bytes_: size of the buffer, as `collective_time` counts it.
        seconds: latency_seconds + transfer_seconds.
        latency_seconds: start-up times of the messages that ended their rounds.
        transfer_seconds: the rest.
        steps: rounds, one after another.
        phases: the same seconds by phase.
        link_bytes: link → bytes through it; links that carry nothing are left out.
        link_busy_seconds: link → bytes through it over its capacity.
    """

    op: Collective
    algorithm: str
    ranks: int
    bytes_: float
    seconds: float
    latency_seconds: float
    transfer_seconds: float
    steps: int
    phases: tuple[PhaseTime, ...]
    link_bytes: Mapping[str, float]
    link_busy_seconds: Mapping[str, float]

    @property
    def busiest_link(self) -> str:
        """The link that is busy longest, the first of several; "" where nothing is sent."""
        bound = self.link_bound_seconds
        return next((link for link, busy in self.link_busy_seconds.items() if busy >= bound * (1 - 1e-9)), "")

    @property
    def link_bound_seconds(self) -> float:
        """How long the busiest link is busy: no order and no overlap of these messages can be faster."""
        return max(self.link_busy_seconds.values(), default=0.0)

    @property
    def busiest_link_share(self) -> float:
        """Share of the time for which the busiest link is busy: 1 where it alone sets the pace."""
        return self.link_bound_seconds / self.seconds if self.seconds else 0.0

    @property
    def algorithm_bandwidth_bytes_per_s(self) -> float:
        """Size over time, "algbw" in nccl-tests; infinite where it takes no time."""
        return self.bytes_ / self.seconds if self.seconds else math.inf

    @property
    def bus_bandwidth_bytes_per_s(self) -> float:
        """What compares with a link's own rate, "busbw" in nccl-tests; 0 for a single rank."""
        factor = bus_bandwidth_factor(self.op, self.ranks)
        return factor * self.bytes_ / self.seconds if self.seconds and self.ranks > 1 else 0.0


@dataclass(frozen=True)
class PricedSchedule:
    """A schedule on a topology, priced once for all sizes: time to drain grows in proportion to the size.

    Args:
        schedule: what was priced.
        topology: where.
        rounds: for rounds that cost the same: how many, label, and (alpha, seconds for each byte of the buffer) of the
            messages that may come last, one for each alpha.
        link_shares: link → bytes through it for each byte of the buffer.
    """

    schedule: Schedule
    topology: Topology
    rounds: tuple[tuple[int, str, tuple[tuple[float, float], ...]], ...]
    link_shares: Mapping[str, float]

    def seconds(self, bytes_: float) -> float:
        """Time for a buffer of this size.

        Raises:
            ArithmeticInputError: when the size is negative or not a number.
        """
        check_not_negative("bytes_", bytes_)
        return sum(count * max(alpha + bytes_ * beta for alpha, beta in last) for count, _, last in self.rounds)

    def at(self, bytes_: float) -> Simulation:
        """Everything about a buffer of this size.

        Raises:
            ArithmeticInputError: when the size is negative or not a number.
        """
        check_not_negative("bytes_", bytes_)
        latency = transfer = 0.0
        phases: list[PhaseTime] = []
        for count, label, last in self.rounds:
            alpha, beta = max(last, key=lambda message: message[0] + bytes_ * message[1])
            latency += count * alpha
            transfer += count * bytes_ * beta
            spent = count * (alpha + bytes_ * beta)
            if phases and phases[-1].label == label:
                spent += phases[-1].seconds
                count += phases.pop().rounds
            phases.append(PhaseTime(label, count, spent))
        sent = {link: share * bytes_ for link, share in self.link_shares.items()}
        rates = self.topology.capacities
        return Simulation(
            op=self.schedule.op,
            algorithm=self.schedule.algorithm,
            ranks=self.schedule.ranks,
            bytes_=bytes_,
            seconds=latency + transfer,
            latency_seconds=latency,
            transfer_seconds=transfer,
            steps=self.schedule.steps,
            phases=tuple(phases),
            link_bytes=sent,
            link_busy_seconds={link: carried / rates[link] for link, carried in sent.items()},
        )


def price(schedule: Schedule, topology: Topology, *, every_round: bool = False) -> PricedSchedule:
    """Price a schedule's rounds on a topology.

    A round begins when the last message of the round before has arrived. Its messages start together; each takes its
    route's alpha and the time to drain through links that it shares with the others, max-min fair. Reductions cost
    nothing, as in `collective_time`.

    Rounds of one phase are alike by construction (the same pairs, the same sizes), so the first is priced and
    multiplied. That is exact on any topology, slow links included, not an approximation: `every_round` prices each of
    them by itself and must come to the same.

    Args:
        schedule: for as many ranks as the topology has.
        topology: the network.
        every_round: price each round by itself; slow, for checking.

    Returns:
        The priced schedule, whose `.at(bytes_)` and `.seconds(bytes_)` cost next to nothing.

    Raises:
        ArithmeticInputError: when schedule and topology are for different numbers of ranks.
    """
    if schedule.ranks != topology.ranks:
        remedy = f"build the schedule for {topology.ranks} ranks, or the topology for {schedule.ranks}"
        limit = f"must be the topology's {topology.ranks}"
        raise ArithmeticInputError.of("schedule.ranks", schedule.ranks, limit, remedy)
    rounds: list[tuple[int, str, tuple[tuple[float, float], ...]]] = []
    shares: defaultdict[str, float] = defaultdict(float)
    for count, label, messages in _distinct_rounds(schedule, every_round):
        ways = [topology.route(message.source, message.target) for message in messages]
        sizes = [len(message.chunks) / schedule.chunks for message in messages]
        slowest: dict[float, float] = {}
        drained = drain_seconds([way.links for way in ways], sizes, topology.capacities)
        for way, size, seconds in zip(ways, sizes, drained, strict=True):
            slowest[way.alpha_seconds] = max(slowest.get(way.alpha_seconds, 0.0), seconds)
            for link in way.links:
                shares[link] += count * size
        if messages:
            rounds.append((count, label, tuple(slowest.items())))
    return PricedSchedule(schedule, topology, tuple(rounds), dict(shares))


def _distinct_rounds(schedule: Schedule, every_round: bool) -> Iterator[tuple[int, str, list[Message]]]:
    for phase in schedule.phases:
        if every_round:
            for number in range(phase.rounds):
                yield 1, phase.label, phase.messages(number)
        elif phase.rounds:
            yield phase.rounds, phase.label, phase.messages(0)


def simulate(schedule: Schedule, topology: Topology, bytes_: float) -> Simulation:
    """Time, link loads and bandwidth of one collective of one size; `price` says by which rules.

    Args:
        schedule: from `schedule`, `hierarchical` or `torus_all_reduce`.
        topology: for as many ranks.
        bytes_: size of the buffer, as `collective_time` counts it.

    Returns:
        What it takes.

    Raises:
        ArithmeticInputError: when the numbers of ranks differ, or the size is negative or not a number.
    """
    return price(schedule, topology).at(bytes_)
