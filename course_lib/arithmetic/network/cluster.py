"""Nodes of one kind, joined by a network whose endpoints are the nodes' network cards."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from course_lib.arithmetic.errors import ArithmeticInputError, check_count
from course_lib.arithmetic.network.topology import Route, Topology


@dataclass(frozen=True)
class Cluster:
    """A topology inside each node times a topology between the nodes' cards.

    Rank = node * node.ranks + local rank. Card c of node n is endpoint n * cards + c of the fabric (or c * nodes + n
    where `rails`, so that a leaf switch gathers the same card of many nodes). Local ranks share the cards evenly.
    The way from a device to its card (PCIe) is not modeled.

    Args:
        node: inside.
        fabric: between; has nodes * cards endpoints.
        nodes: how many.
        cards: endpoints of one node; at most node.ranks, of which each uses one.
        rails: endpoints are numbered card by card instead of node by node.

    Raises:
        ArithmeticInputError: for numbers that do not fit together.
    """

    node: Topology
    fabric: Topology
    nodes: int
    cards: int
    rails: bool = False

    def __post_init__(self) -> None:
        check_count("nodes", self.nodes)
        check_count("cards", self.cards)
        if self.cards > self.node.ranks:
            remedy = "count cards that serve one device together as one, and add their rates"
            raise ArithmeticInputError.of("cards", self.cards, f"are more than {self.node.ranks} devices", remedy)
        if self.fabric.ranks != self.nodes * self.cards:
            limit = f"must have nodes * cards = {self.nodes} * {self.cards} endpoints"
            raise ArithmeticInputError.of("fabric.ranks", self.fabric.ranks, limit, "build it for that many")

    @property
    def ranks(self) -> int:
        """Devices of all nodes."""
        return self.nodes * self.node.ranks

    @cached_property
    def capacities(self) -> Mapping[str, float]:
        """`node 3: ...` for a link inside node 3, `fabric: ...` for one between nodes."""
        inside = self.node.capacities.items()
        rates = {f"node {node}: {link}": rate for node in range(self.nodes) for link, rate in inside}
        return rates | {f"fabric: {link}": rate for link, rate in self.fabric.capacities.items()}

    def endpoint(self, rank: int) -> int:
        """The fabric's endpoint that a rank sends through."""
        node, local = divmod(rank, self.node.ranks)
        card = local * self.cards // self.node.ranks
        return card * self.nodes + node if self.rails else node * self.cards + card

    def route(self, source: int, target: int) -> Route:
        """Inside the node where both are in one, else from card to card.

        Two cards of one node are never joined through the fabric: a message inside a node stays inside.
        """
        here, from_ = divmod(source, self.node.ranks)
        there, to = divmod(target, self.node.ranks)
        if here == there:
            way = self.node.route(from_, to)
            return Route(tuple(f"node {here}: {link}" for link in way.links), way.alpha_seconds)
        way = self.fabric.route(self.endpoint(source), self.endpoint(target))
        return Route(tuple(f"fabric: {link}" for link in way.links), way.alpha_seconds)
