"""Two tiers of switches: leaves with ports for endpoints, and spines above them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from course_lib.arithmetic.errors import ArithmeticInputError, check_count, check_not_negative, check_positive
from course_lib.arithmetic.network.topology import Route


@dataclass(frozen=True)
class FatTree:
    """Endpoints on leaf switches; each leaf's uplinks to all spines count as one trunk, in each direction.

    One trunk means that traffic spreads evenly over the uplinks, as adaptive routing strives for: collisions of static
    routes are not modeled, only the trunk's capacity, which oversubscription divides.

    Args:
        ranks: endpoints.
        per_leaf: endpoints of one leaf switch, numbered one after another; the last leaf may have fewer.
        bytes_per_second: one endpoint's port, one direction.
        alpha_seconds: start-up time of a message.
        oversubscription: a leaf's ports together over its uplinks together; 1 is a full fat tree.

    Raises:
        ArithmeticInputError: for a number outside of its domain.

    Source: Leiserson 1985, "Fat-trees: universal networks for hardware-efficient supercomputing".
    """

    ranks: int
    per_leaf: int
    bytes_per_second: float
    alpha_seconds: float
    oversubscription: float = 1.0

    def __post_init__(self) -> None:
        check_count("ranks", self.ranks)
        check_count("per_leaf", self.per_leaf)
        check_positive("bytes_per_second", self.bytes_per_second)
        check_not_negative("alpha_seconds", self.alpha_seconds)
        check_positive("oversubscription", self.oversubscription)
        if self.oversubscription < 1:
            remedy = "give the ports' rate over the uplinks' rate, such as 2 for 2:1"
            raise ArithmeticInputError.of("oversubscription", self.oversubscription, "must be at least 1", remedy)

    @cached_property
    def capacities(self) -> Mapping[str, float]:
        """`port 3 out`, `port 3 in`, `leaf 0 up`, `leaf 0 down`."""
        rates = {f"port {rank} {way}": self.bytes_per_second for rank in range(self.ranks) for way in ("out", "in")}
        trunk = self.per_leaf * self.bytes_per_second / self.oversubscription
        leaves = -(-self.ranks // self.per_leaf)
        return rates | {f"leaf {leaf} {way}": trunk for leaf in range(leaves) for way in ("up", "down")}

    def route(self, source: int, target: int) -> Route:
        """Over the leaf alone where both are on it, else up to the spines and down."""
        out, into = f"port {source} out", f"port {target} in"
        here, there = source // self.per_leaf, target // self.per_leaf
        if here == there:
            return Route((out, into), self.alpha_seconds)
        return Route((out, f"leaf {here} up", f"leaf {there} down", into), self.alpha_seconds)
