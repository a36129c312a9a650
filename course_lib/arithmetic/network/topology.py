"""Who is wired to whom: links with a capacity, and for each pair of ranks the links that its messages share.

Every link has one direction. A topology is any object with `ranks`, `capacities` and `route`; those of this package
compose: a `Cluster` puts one inside each node and another between them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

from course_lib.arithmetic.errors import ArithmeticInputError, check_count, check_not_negative, check_positive


class Route(NamedTuple):
    """The way of one message.

    Args:
        links: names of the links that it goes through.
        alpha_seconds: start-up time, paid once for the message.
    """

    links: tuple[str, ...]
    alpha_seconds: float


class Topology(Protocol):
    """What the simulator needs to know about a network."""

    @property
    def ranks(self) -> int:
        """How many devices it joins, numbered from 0."""

    @property
    def capacities(self) -> Mapping[str, float]:
        """Link → bytes per second."""

    def route(self, source: int, target: int) -> Route:
        """The way from one rank to another."""


@dataclass(frozen=True)
class Switch:
    """Devices on one switch of full bisection bandwidth: only a device's own port can be a bottleneck.

    Also the model of a network of which only the ports are known, and the one that `collective_time` has in mind.

    Args:
        ranks: devices.
        bytes_per_second: one port, one direction.
        alpha_seconds: start-up time of a message.
        port: what a port is called in the links' names.

    Raises:
        ArithmeticInputError: for a number outside of its domain.
    """

    ranks: int
    bytes_per_second: float
    alpha_seconds: float
    port: str = "port"

    def __post_init__(self) -> None:
        check_count("ranks", self.ranks)
        check_positive("bytes_per_second", self.bytes_per_second)
        check_not_negative("alpha_seconds", self.alpha_seconds)

    @cached_property
    def capacities(self) -> Mapping[str, float]:
        """`port 3 out` and `port 3 in` for device 3."""
        ends = [f"{self.port} {rank} {way}" for rank in range(self.ranks) for way in ("out", "in")]
        return dict.fromkeys(ends, self.bytes_per_second)

    def route(self, source: int, target: int) -> Route:
        """Out of the source's port, into the target's."""
        return Route((f"{self.port} {source} out", f"{self.port} {target} in"), self.alpha_seconds)


@dataclass(frozen=True)
class Mesh:
    """A link of its own from each device to each other (Gaudi's ports inside a box): two messages never meet.

    One message uses one link, 1/(ranks - 1) of what a device has: algorithms that talk to one peer at a time waste the
    rest.

    Args:
        ranks: devices.
        bytes_per_second: one device to one other, one direction.
        alpha_seconds: start-up time of a message.

    Raises:
        ArithmeticInputError: for a number outside of its domain.
    """

    ranks: int
    bytes_per_second: float
    alpha_seconds: float

    def __post_init__(self) -> None:
        check_count("ranks", self.ranks)
        check_positive("bytes_per_second", self.bytes_per_second)
        check_not_negative("alpha_seconds", self.alpha_seconds)

    @cached_property
    def capacities(self) -> Mapping[str, float]:
        """`link 3 to 5` for the way from device 3 to device 5."""
        pairs = [(a, b) for a in range(self.ranks) for b in range(self.ranks) if a != b]
        return {f"link {a} to {b}": self.bytes_per_second for a, b in pairs}

    def route(self, source: int, target: int) -> Route:
        """The pair's own link."""
        return Route((f"link {source} to {target}",), self.alpha_seconds)


@dataclass(frozen=True)
class Degraded:
    """A topology in which some links are slower than they should be: a bad cable, a network card in the wrong slot.

    Args:
        topology: the healthy one.
        shares: link → share of its capacity that is left.

    Raises:
        ArithmeticInputError: for a link that is not there, or a share that is not in (0, 1].
    """

    topology: Topology
    shares: Mapping[str, float]

    def __post_init__(self) -> None:
        for link, share in self.shares.items():
            if link not in self.topology.capacities:
                some = ", ".join(map(repr, list(self.topology.capacities)[:3]))
                raise ArithmeticInputError.of("shares", link, "names no link", f"use one of .capacities: {some}, ...")
            if not 0 < share <= 1:
                remedy = "write 0.5 for a link at half of its rate"
                raise ArithmeticInputError.of(f"share of {link!r}", share, "must be above 0 and at most 1", remedy)

    @property
    def ranks(self) -> int:
        """As in the healthy topology."""
        return self.topology.ranks

    @cached_property
    def capacities(self) -> Mapping[str, float]:
        """As in the healthy topology, times the share."""
        return {link: rate * self.shares.get(link, 1.0) for link, rate in self.topology.capacities.items()}

    def route(self, source: int, target: int) -> Route:
        """As in the healthy topology."""
        return self.topology.route(source, target)
