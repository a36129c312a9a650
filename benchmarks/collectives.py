"""What simulating a collective of 1,024 devices costs: under 1 s, against NumPy that goes through it round by round."""

from __future__ import annotations

import numpy as np

from benchmarks.ratio import Ratio, compare
from course_lib.arithmetic.network import Schedule, Topology, cluster_topology, hierarchical, schedule, simulate

NODES = 128
SIZE = 1e9


def numpy_seconds(ours: Schedule, topology: Topology, bytes_: float) -> float:
    """The same question to NumPy: the fullest link of each round sets its time."""
    names = {link: row for row, link in enumerate(topology.capacities)}
    rates = np.array(list(topology.capacities.values()))
    total = 0.0
    for messages in ours.rounds():
        ways = [topology.route(message.source, message.target) for message in messages]
        sizes = [len(message.chunks) for message in messages]
        rows = [names[link] for way in ways for link in way.links]
        weights = np.repeat(sizes, [len(way.links) for way in ways])
        loads = np.bincount(rows, weights=weights, minlength=len(rates)) / rates
        total += max(way.alpha_seconds for way in ways) + loads.max() * bytes_ / ours.chunks
    return total


def measure() -> list[Ratio]:
    """Two stages on 128 p5.48xlarge against NumPy and against the bound of 1 s; the flat ring beside it."""

    def two_stages() -> float:
        return simulate(hierarchical("all_reduce", 8, NODES), cluster_topology("p5.48xlarge", NODES), SIZE).seconds

    def with_numpy() -> float:
        return numpy_seconds(hierarchical("all_reduce", 8, NODES), cluster_topology("p5.48xlarge", NODES), SIZE)

    def flat_ring() -> float:
        return simulate(schedule("all_reduce", 8 * NODES), cluster_topology("p5.48xlarge", NODES), SIZE).seconds

    if not np.isclose(two_stages(), with_numpy(), rtol=1e-9):
        raise RuntimeError(f"the simulator says {two_stages()} s, NumPy {with_numpy()} s: they must agree")
    what = f"hierarchical all-reduce of {8 * NODES} devices, simulated"
    against_numpy = compare(what, two_stages, "NumPy, round by round", with_numpy)
    took = against_numpy.our_seconds
    return [
        against_numpy,
        Ratio(what, "1 s", took, 1.0, took),
        compare(what, two_stages, "flat ring, same simulator", flat_ring),
    ]
