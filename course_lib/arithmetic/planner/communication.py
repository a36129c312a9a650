"""Seconds of a group's collectives on the links that the group really has, under the alpha-beta model."""

from course_lib.arithmetic.collectives import bus_bandwidth_factor
from course_lib.arithmetic.planner.workload import Workload


def group_rate(w: Workload, ranks: int, stride: int) -> tuple[float, float]:
    """What one rank of a group can send its neighbor while all groups of the layout do the same.

    Args:
        w: the planning problem.
        ranks: members of the group.
        stride: distance between two members in the numbering of ranks.

    Returns:
        Bytes per second, and the start-up time of a message in seconds.

    Source: nccl-tests' bus bandwidth; a node's network cards are shared by the groups that leave it.
    """
    e, cluster = w.efficiency, w.cluster
    inside = min(ranks, max(1, cluster.devices_per_node // stride))
    link = cluster.link_bytes_per_s * e.link
    if ranks <= inside and (ranks - 1) * stride < cluster.devices_per_node:
        return link, e.link_seconds
    # a ring crosses each node's border once, so a group with several members in a node has their cards together
    network = cluster.network_bytes_per_s * e.network * inside / cluster.devices_per_node
    return (min(link, network) if inside > 1 else network), e.network_seconds


def gather_seconds(w: Workload, bytes_: float, ranks: int, stride: int, calls: int = 1) -> float:
    """Time of all-gathers or reduce-scatters (half of all-reduces) of `bytes_` in all.

    Args:
        w: the planning problem.
        bytes_: size of all gathered results together.
        ranks: members of the group.
        stride: distance between two members in the numbering of ranks.
        calls: collectives among which the bytes are divided; each pays the ring's start-up again.

    Returns:
        Seconds.

    Source: the ring of Thakur, Rabenseifner & Gropp 2005: (n-1)/n of the bytes, n-1 start-ups, of which those that
        cross between nodes cost more.
    """
    if ranks == 1:
        return 0.0
    e = w.efficiency
    rate, _ = group_rate(w, ranks, stride)
    crossings = -(-ranks * stride // w.cluster.devices_per_node) - 1
    crossings = min(ranks - 1, crossings)
    start = crossings * e.network_seconds + (ranks - 1 - crossings) * e.link_seconds
    return bus_bandwidth_factor("all_gather", ranks) * bytes_ / rate + calls * start


def exchange_seconds(w: Workload, bytes_: float, ranks: int, stride: int) -> float:
    """Time of an all-to-all in which each rank hands out `bytes_`.

    Source: what stays in the node goes over its links, the rest through this rank's share of the network cards.
    """
    if ranks == 1:
        return 0.0
    e, cluster = w.efficiency, w.cluster
    inside = min(ranks, max(1, cluster.devices_per_node // stride))
    near = (inside - 1) / ranks * bytes_ / (cluster.link_bytes_per_s * e.link)
    if ranks <= inside:
        return near + e.link_seconds
    share = cluster.network_bytes_per_s * e.network / cluster.devices_per_node
    return max(near, (ranks - inside) / ranks * bytes_ / share) + e.network_seconds


def message_seconds(w: Workload, bytes_: float, ranks: int, stride: int) -> float:
    """Time in which one pipeline stage's device hands `bytes_` to the next."""
    e, cluster = w.efficiency, w.cluster
    if (ranks - 1) * stride < cluster.devices_per_node:
        return bytes_ / (cluster.link_bytes_per_s * e.link) + e.link_seconds
    share = cluster.network_bytes_per_s * e.message / cluster.devices_per_node
    return bytes_ / share + e.network_seconds
