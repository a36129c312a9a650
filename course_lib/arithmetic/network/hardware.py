"""Topologies of machines in the catalog: an instance's inside, and many of them on the network that joins them."""

from course_lib.arithmetic.errors import ArithmeticInputError, check_count, check_fraction, check_not_negative
from course_lib.arithmetic.network.cluster import Cluster
from course_lib.arithmetic.network.fat_tree import FatTree
from course_lib.arithmetic.network.topology import Mesh, Switch, Topology
from course_lib.arithmetic.network.torus import Torus
from course_lib.catalog import Network, UnknownNameError, instance, network, network_of


def node_topology(
    name: str | Network, *, assumed_efficiency: float | None = None, assumed_alpha_seconds: float | None = None
) -> Topology:
    """The accelerators of one node.

    Args:
        name: an instance (`p5.48xlarge`), a network of scope `node` (`nvlink4`, `neuronlink-v3-ultraserver`,
            `gaudi3-scale-up`), or such a row, changed by `dataclasses.replace` if need be.
        assumed_efficiency: share of the peak rate, where the catalog has none.
        assumed_alpha_seconds: start-up time of a message, where the catalog has none.

    Returns:
        A Switch, Mesh or Torus, its rates times the efficiency.

    Raises:
        UnknownNameError: for an unknown name.
        CatalogError: for an instance whose inside the catalog does not know.
        ArithmeticInputError: for a network between nodes, or where the catalog lacks a figure and none is assumed.
    """
    row = _row(name, "node")
    share, alpha = _efficiency(row, assumed_efficiency), _alpha(row, assumed_alpha_seconds)
    rates = tuple(rate * share for rate in row.link_bytes_per_s)
    if row.shape == "torus":
        return Torus(row.dims, rates, alpha)
    devices = row.devices or 1
    return Mesh(devices, rates[0], alpha) if row.shape == "mesh" else Switch(devices, rates[0], alpha, "chip")


def cluster_topology(
    node: str | Network,
    nodes: int,
    *,
    fabric: str | Network | None = None,
    nodes_per_leaf: int | None = None,
    oversubscription: float = 1.0,
    assumed_efficiency: float | None = None,
    assumed_alpha_seconds: float | None = None,
) -> Cluster:
    """Many nodes of one kind, and the network between them.

    Cards that serve one device count as one with their rates added; devices that share a card share its rate. On a fat
    tree a leaf switch gathers the same card of `nodes_per_leaf` nodes ("rails").

    Args:
        node: as for `node_topology`.
        nodes: how many.
        fabric: a network of scope `cluster` (`efa-p5`, `infiniband-ndr`, `gaudi3-scale-out`), or such a row; the one of
            the instance when left out.
        nodes_per_leaf: of a fat tree; the catalog's when left out, at most all nodes.
        oversubscription: of a fat tree: a leaf's ports over its uplinks.
        assumed_efficiency: share of the peak rate, where the catalog has none.
        assumed_alpha_seconds: start-up time of a message, where the catalog has none.

    Returns:
        The topology for nodes * devices ranks.

    Raises:
        UnknownNameError: for an unknown name.
        CatalogError: for an instance that the catalog knows no network of.
        ArithmeticInputError: for a number outside of its domain, or where the catalog lacks a figure and none is
            assumed.
    """
    check_count("nodes", nodes)
    inside = node_topology(node, assumed_efficiency=assumed_efficiency, assumed_alpha_seconds=assumed_alpha_seconds)
    between = _fabric_row(node, fabric)
    share, alpha = _efficiency(between, assumed_efficiency), _alpha(between, assumed_alpha_seconds)
    total = between.links or 1
    cards = min(total, inside.ranks)
    rate = total / cards * between.link_bytes_per_s[0] * share
    if between.shape == "switch":
        if nodes_per_leaf is not None or oversubscription != 1:
            remedy = "leave both out, or choose a fat tree such as fabric='infiniband-ndr'"
            limit = "has no leaves: nodes_per_leaf and oversubscription mean nothing"
            raise ArithmeticInputError.of("fabric", between.name, limit, remedy)
        return Cluster(inside, Switch(nodes * cards, rate, alpha, "card"), nodes, cards)
    leaf = _leaf(between, nodes, nodes_per_leaf)
    return Cluster(inside, FatTree(nodes * cards, leaf, rate, alpha, oversubscription), nodes, cards, rails=True)


def _row(name: str | Network, scope: str) -> Network:
    row = name if isinstance(name, Network) else _named(name)
    if row.scope != scope:
        given, wanted = ("fabric", "'nvlink4'") if scope == "node" else ("node", "'efa-p5'")
        limit = f"is a network of scope {row.scope!r}, not {scope!r}"
        raise ArithmeticInputError.of("network", row.name, limit, f"pass it as {given}, and here one such as {wanted}")
    return row


def _named(name: str) -> Network:
    try:
        return network_of(instance(name).name, "node")
    except UnknownNameError:
        if "." in name:  # written like an instance: its near names help more than those of networks
            raise
        return network(name)


def _fabric_row(node: str | Network, fabric: str | Network | None) -> Network:
    if fabric is not None:
        return _row(network(fabric) if isinstance(fabric, str) else fabric, "cluster")
    if isinstance(node, Network):
        raise ArithmeticInputError.of("fabric", None, "is needed", "name one, such as fabric='infiniband-ndr'")
    try:
        return network_of(instance(node).name, "cluster")
    except UnknownNameError:
        limit, remedy = f"is needed for {node!r}, which is no instance", "name one, such as fabric='infiniband-ndr'"
        raise ArithmeticInputError.of("fabric", None, limit, remedy) from None


def _efficiency(row: Network, assumed: float | None) -> float:
    if assumed is not None:
        check_fraction("assumed_efficiency", assumed)
    if row.efficiency is not None:
        return row.efficiency
    if assumed is None:
        remedy = "pass assumed_efficiency=0.8, and say that you assume it"
        raise ArithmeticInputError.of("efficiency", None, f"is not published for {row.name}", remedy)
    return assumed


def _alpha(row: Network, assumed: float | None) -> float:
    if assumed is not None:
        check_not_negative("assumed_alpha_seconds", assumed)
    if row.latency_us is not None:
        return row.latency_us / 1e6
    if assumed is None:
        remedy = "pass assumed_alpha_seconds=1e-5, and say that you assume it"
        raise ArithmeticInputError.of("latency_us", None, f"is not published for {row.name}", remedy)
    return assumed


def _leaf(row: Network, nodes: int, asked: int | None) -> int:
    if asked is not None:
        check_count("nodes_per_leaf", asked)
    size = asked or row.per_leaf
    if size is None:
        limit = f"is not published for {row.name}"
        raise ArithmeticInputError.of("nodes_per_leaf", None, limit, "pass the ports of a leaf switch, such as 32")
    size = min(size, nodes)
    if nodes % size:
        remedy = "choose numbers that divide, so that each leaf gathers the same card of whole groups of nodes"
        raise ArithmeticInputError.of("nodes", nodes, f"must be a multiple of nodes_per_leaf={size}", remedy)
    return size
