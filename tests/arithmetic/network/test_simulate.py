"""The simulator on schedules and topologies together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.arithmetic.collectives import ArithmeticInputError, bus_bandwidth_factor
from course_lib.arithmetic.network import (
    Cluster,
    Degraded,
    FatTree,
    Message,
    Phase,
    Schedule,
    Switch,
    Torus,
    hierarchical,
    parallel_rings_all_reduce,
    price,
    schedule,
    simulate,
    torus_all_reduce,
)

NODE = Switch(4, 100e9, 1e-6)
CLUSTER = Cluster(NODE, FatTree(16, 4, 10e9, 1e-5, 2), 4, 4)
LAME = Degraded(CLUSTER, {"fabric: port 5 in": 0.3, "node 2: port 1 out": 0.01})
CASES = {
    "ring": schedule("all_reduce", 16),
    "halving": schedule("all_reduce", 16, "rabenseifner"),
    "stages": hierarchical("all_reduce", 4, 4),
    "stages, direct": hierarchical("all_reduce", 4, 4, inner="direct", outer="double_tree", segments=4),
    "parallel rings": parallel_rings_all_reduce(4, 4),
    "gather": hierarchical("all_gather", 4, 4),
    "exchange": hierarchical("all_to_all", 4, 4),
    "pairwise": schedule("all_to_all", 16),
    "torus": torus_all_reduce((4, 4)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("topology", [CLUSTER, LAME, Torus((4, 4), (8e9, 2e9), 1e-6)], ids=["whole", "lame", "torus"])
def test_pricing_one_round_of_a_phase_is_as_exact_as_pricing_all(name, topology):
    """Oracle: every round priced by itself, on slow links too."""
    quick, slow = price(CASES[name], topology).at(1e7), price(CASES[name], topology, every_round=True).at(1e7)
    assert quick.seconds == pytest.approx(slow.seconds, rel=1e-9)
    assert quick.latency_seconds == pytest.approx(slow.latency_seconds, rel=1e-9)
    assert quick.link_bytes == pytest.approx(slow.link_bytes, rel=1e-9)


def numpy_seconds(ours, topology, bytes_):
    """A second simulator, exact where a round's messages all finish together or share one kind of link: the fullest
    link of each round sets its time. NumPy, one row for each link."""
    names = {link: row for row, link in enumerate(topology.capacities)}
    rates = np.array(list(topology.capacities.values()))
    total = 0.0
    for messages in ours.rounds():
        ways = [topology.route(m.source, m.target) for m in messages]
        sizes = [len(m.chunks) / ours.chunks * bytes_ for m in messages]
        rows = [names[link] for way in ways for link in way.links]
        loads = np.bincount(
            rows, weights=[size for way, size in zip(ways, sizes, strict=True) for _ in way.links], minlength=len(rates)
        )
        total += max(way.alpha_seconds for way in ways) + (loads / rates).max()
    return total


@pytest.mark.parametrize("name", ["ring", "stages", "parallel rings", "gather", "pairwise", "halving"])
def test_where_the_fullest_link_sets_the_pace_numpy_finds_the_same(name):
    """Oracle: NumPy's bincount of bytes on links, written apart from the fair shares."""
    flat = Cluster(NODE, Switch(16, 10e9, 1e-5), 4, 4)
    assert simulate(CASES[name], flat, 1e8).seconds == pytest.approx(numpy_seconds(CASES[name], flat, 1e8), rel=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_bytes_on_links_are_bytes_sent_times_links_passed(name):
    """Oracle: the schedule's own count and the routes."""
    ours = simulate(CASES[name], CLUSTER, 1e6)
    wanted = sum(
        len(m.chunks) / CASES[name].chunks * 1e6 * len(CLUSTER.route(m.source, m.target).links)
        for messages in CASES[name].rounds()
        for m in messages
    )
    assert sum(ours.link_bytes.values()) == pytest.approx(wanted)


@pytest.mark.parametrize("name", CASES)
def test_the_busiest_link_bounds_the_time(name):
    """Oracle: a link cannot carry more than its capacity; phases and both parts add up to the whole."""
    ours = simulate(CASES[name], LAME, 1e8)
    assert ours.link_bound_seconds == pytest.approx(
        max(carried / LAME.capacities[link] for link, carried in ours.link_bytes.items())
    )
    assert ours.link_bound_seconds <= ours.seconds
    assert 0 < ours.busiest_link_share <= 1
    assert ours.link_busy_seconds[ours.busiest_link] == pytest.approx(ours.link_bound_seconds)
    assert ours.seconds == pytest.approx(sum(phase.seconds for phase in ours.phases))
    assert ours.seconds == pytest.approx(ours.latency_seconds + ours.transfer_seconds)
    assert sum(phase.rounds for phase in ours.phases) == ours.steps == CASES[name].steps


def test_a_slow_start_can_end_a_round_that_a_large_message_does_not():
    """Oracle: by hand: max(1 s + 1 byte at 1 B/s, 0.1 s + 3 bytes at 3 B/s / 2 ...) at two sizes."""
    sent = [Message(0, 1, (0,), True), Message(2, 3, (0, 1, 2), True)]
    ours = Schedule("all_reduce", "by hand", 4, 3, (Phase(1, lambda _: sent, "one"),))
    wires = Cluster(Switch(2, 1.0, 0.1), Switch(2, 1.0, 5.0), 2, 1)
    assert price(ours, wires).seconds(3.0) == pytest.approx(0.1 + 3.0)
    crossing = [Message(0, 2, (0,), True), Message(1, 0, (0, 1, 2), True)]
    mixed = price(Schedule("all_reduce", "by hand", 4, 3, (Phase(1, lambda _: crossing, "one"),)), wires)
    assert mixed.seconds(3.0) == pytest.approx(5 + 1)
    assert mixed.seconds(300.0) == pytest.approx(0.1 + 300)
    assert mixed.at(300.0).latency_seconds == pytest.approx(0.1)


@given(size=st.floats(0, 1e10), more=st.floats(0, 1e10), name=st.sampled_from(sorted(CASES)))
@settings(max_examples=50)
def test_time_grows_with_the_size_and_faster_links_never_hurt(size, more, name):
    """Oracle: monotonicity."""
    ours = PRICED[name]
    assert ours.seconds(size) <= ours.seconds(size + more)
    assert ours.seconds(size) == pytest.approx(ours.at(size).seconds)
    assert ours.seconds(size) <= PRICED_LAME[name].seconds(size) * (1 + 1e-9)


PRICED = {name: price(ours, CLUSTER) for name, ours in CASES.items()}
PRICED_LAME = {name: price(ours, LAME) for name, ours in CASES.items()}


@pytest.mark.parametrize("op", ["all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast"])
def test_one_rank_takes_no_time(op):
    """Oracle: there is nobody to send to."""
    ours = simulate(schedule(op, 1), Switch(1, 1e9, 1e-6), 1e6)
    assert (ours.seconds, ours.steps, ours.busiest_link, ours.busiest_link_share) == (0, 0, "", 0)
    assert ours.bus_bandwidth_bytes_per_s == 0
    assert ours.algorithm_bandwidth_bytes_per_s == float("inf")


def test_bandwidths_are_those_that_nccl_tests_prints():
    """Oracle: nccl-tests, doc/PERFORMANCE.md: size / time, and that times 2(n-1)/n."""
    ours = simulate(schedule("all_reduce", 8), Switch(8, 1e10, 0), 1e9)
    assert ours.algorithm_bandwidth_bytes_per_s == pytest.approx(1e9 / ours.seconds)
    assert ours.bus_bandwidth_bytes_per_s == pytest.approx(bus_bandwidth_factor("all_reduce", 8) * 1e9 / ours.seconds)
    assert ours.bus_bandwidth_bytes_per_s == pytest.approx(1e10)


def test_sizes_and_ranks_that_do_not_fit_are_refused():
    """Oracle: both numbers stand in the message."""
    with pytest.raises(ArithmeticInputError, match=r"schedule.ranks=8 must be the topology's 4"):
        price(schedule("all_reduce", 8), NODE)
    for size in (-1, float("nan"), float("inf")):
        with pytest.raises(ArithmeticInputError, match="bytes_"):
            simulate(schedule("all_reduce", 4), NODE, size)
        with pytest.raises(ArithmeticInputError, match="bytes_"):
            price(schedule("all_reduce", 4), NODE).seconds(size)
