"""What the chapter on networks teaches, as claims about the simulator."""

import random

import pytest

from course_lib.arithmetic.network import (
    Cluster,
    Degraded,
    FatTree,
    Mesh,
    Switch,
    Torus,
    crossover_bytes,
    hierarchical,
    parallel_rings_all_reduce,
    price,
    ring_order,
    schedule,
    simulate,
    torus_all_reduce,
)

SLOW_BETWEEN = Cluster(Switch(8, 400e9, 3e-6), Switch(32, 40e9, 15e-6), 4, 8)


@pytest.mark.parametrize("size", [1e3, 1e6, 1e9])
def test_two_stages_beat_the_flat_ring_across_slow_links(size):
    """Oracle: by hand, for large sizes: the ring passes 2(p-1)/p n through one card, two stages 2(m-1)/m n / d."""
    staged, flat = (
        simulate(s, SLOW_BETWEEN, size) for s in (hierarchical("all_reduce", 8, 4), schedule("all_reduce", 32))
    )
    assert staged.seconds < flat.seconds / 2
    assert flat.busiest_link.startswith("fabric: ")
    if size == 1e9:
        assert flat.seconds == pytest.approx(2 * 31 / 32 * size / 40e9, rel=0.02)
        inside, between = 2 * 7 / 8 * size / 400e9, 2 * 3 / 4 * size / 8 / 40e9
        assert staged.seconds == pytest.approx(inside + between, rel=0.02)


def test_rings_through_all_cards_use_what_one_ring_leaves_idle():
    """Oracle: by hand: 8 rings on 8 cards."""
    one, eight = (simulate(s, SLOW_BETWEEN, 1e9) for s in (schedule("all_reduce", 32), parallel_rings_all_reduce(8, 4)))
    assert eight.transfer_seconds == pytest.approx(one.transfer_seconds / 8)
    assert eight.steps == one.steps


@pytest.mark.parametrize("p", [8, 64, 100])
def test_a_tree_is_faster_for_small_buffers_and_a_ring_for_large_ones(p):
    """Oracle: by hand: 2 ceil(lg p)(a + n b) against 2(p-1) a + 2(p-1)/p n b, and where the two cross."""
    alpha, beta = 1e-5, 1e-10
    wires = Switch(p, 1 / beta, alpha)
    tree, ring = schedule("all_reduce", p, "binomial"), schedule("all_reduce", p, "ring")
    assert price(tree, wires).seconds(1e3) < price(ring, wires).seconds(1e3)
    assert price(tree, wires).seconds(1e9) > price(ring, wires).seconds(1e9)
    rounds = (p - 1).bit_length()
    by_hand = (p - 1 - rounds) * alpha / (beta * (rounds - (p - 1) / p))
    assert crossover_bytes(tree, ring, wires) == pytest.approx(by_hand, rel=1e-6)


def test_halving_and_doubling_has_the_latency_of_a_tree_and_the_bandwidth_of_a_ring():
    """Oracle: Thakur et al. 2005: 2 lg p a + 2(p-1)/p n b is never slower than either."""
    wires = Switch(64, 1e10, 1e-5)
    best, tree, ring = (price(schedule("all_reduce", 64, name), wires) for name in ("rabenseifner", "binomial", "ring"))
    for size in (1.0, 1e4, 1e6, 1e9):
        assert best.seconds(size) <= min(tree.seconds(size), ring.seconds(size)) * (1 + 1e-9)


def test_halving_and_doubling_loses_to_a_ring_where_far_links_are_shared():
    """Oracle: by hand: at distance p/2 all messages cross the middle of a torus; a ring's never leave a neighbor."""
    ring_wires = Torus((16,), (1e10,), 1e-6)
    halving, ring = (simulate(schedule("all_reduce", 16, name), ring_wires, 1e9) for name in ("rabenseifner", "ring"))
    assert halving.seconds > 2 * ring.seconds


@pytest.mark.parametrize("oversubscription", [1, 2, 4])
def test_an_oversubscribed_trunk_slows_an_all_to_all_by_its_factor(oversubscription):
    """Oracle: by hand: in round s, min(s, 8, 64 - s) of a leaf's 8 ports send through its trunk of 8 / factor."""
    ports, per_leaf, size = 64, 8, 1e9
    wires = FatTree(ports, per_leaf, 50e9, 0.0, oversubscription)
    ours = simulate(schedule("all_to_all", ports), wires, size)
    crossing = [min(step, per_leaf, ports - step) for step in range(1, ports)]
    rounds = [max(1, oversubscription * count / per_leaf) for count in crossing]
    assert ours.seconds == pytest.approx(sum(rounds) * size / ports / 50e9)
    if oversubscription > 1:
        assert ours.busiest_link.startswith("leaf")


def test_an_oversubscribed_trunk_does_not_slow_a_ring():
    """Oracle: by hand: one message of a ring leaves each leaf."""
    full, half = (simulate(schedule("all_reduce", 64), FatTree(64, 8, 50e9, 0.0, o), 1e9).seconds for o in (1, 8))
    assert half == pytest.approx(full)


def test_a_ring_laid_along_a_torus_uses_neighbor_links_only():
    """Oracle: by hand: one hop a message; a ring in a random order passes links several times."""
    torus = Torus((4, 4), (100e9, 100e9), 1e-6)
    ring = schedule("all_reduce", 16, "ring")
    along = simulate(ring.placed(ring_order((4, 4))), torus, 1e8)
    assert all(len(torus.route(m.source, m.target).links) == 1 for m in next(ring.placed(ring_order((4, 4))).rounds()))
    assert along.seconds == pytest.approx(30 * 1e-6 + 2 * 15 / 16 * 1e8 / 100e9)
    order = list(range(16))
    random.Random(0).shuffle(order)
    assert simulate(ring.placed(order), torus, 1e8).seconds > 1.5 * along.seconds


@pytest.mark.parametrize("dims", [(4, 4), (4, 4, 4)])
def test_all_links_of_a_torus_make_it_as_many_times_faster(dims):
    """Oracle: by hand: 2 links in each dimension, none idle; steps 2 (size - 1) for each dimension."""
    torus = Torus(dims, (100e9,) * len(dims), 1e-6)
    one, all_ = (simulate(torus_all_reduce(dims, all_links=every), torus, 1e9) for every in (False, True))
    assert one.transfer_seconds / all_.transfer_seconds == pytest.approx(2 * len(dims))
    assert all_.steps == 2 * sum(size - 1 for size in dims)
    p = torus.ranks
    assert all_.transfer_seconds == pytest.approx(2 * (p - 1) / p * 1e9 / (2 * len(dims) * 100e9))


def test_a_bidirectional_ring_uses_both_directions():
    """Oracle: by hand: half of the buffer each way around."""
    wires = Torus((8,), (100e9,), 0.0)
    one, two = (simulate(schedule("all_reduce", 8, name), wires, 1e9) for name in ("ring", "bidirectional_ring"))
    assert one.seconds == pytest.approx(2 * two.seconds)


def test_a_mesh_wants_everybody_at_once():
    """Oracle: by hand: a ring uses 1 of 7 links, the direct exchange all: 7 times the bandwidth (Gaudi's box)."""
    box = Mesh(8, 75e9, 0.0)
    ring, direct = (simulate(schedule("all_reduce", 8, name), box, 1e9) for name in ("ring", "direct"))
    assert ring.seconds == pytest.approx(7 * direct.seconds)
    assert direct.bus_bandwidth_bytes_per_s == pytest.approx(7 * 75e9)


@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize("ours", [schedule("all_reduce", 32), parallel_rings_all_reduce(8, 4)], ids=["ring", "rings"])
def test_a_single_bad_card_sets_the_pace_of_all(share, ours):
    """Oracle: by hand: 1 of 32 cards at a tenth of its rate makes all 32 ranks ten times slower."""
    link = "fabric: port 7 out"
    healthy = simulate(ours, SLOW_BETWEEN, 1e9)
    lame = simulate(ours, Degraded(SLOW_BETWEEN, {link: share}), 1e9)
    assert lame.transfer_seconds == pytest.approx(healthy.transfer_seconds / share)
    assert lame.busiest_link == link


def test_1024_devices_in_two_stages():
    """Oracle: by hand: 2·7 steps inside at 7/8 and 2·127 between on an eighth, on 128 nodes of 8."""
    wires = Cluster(Switch(8, 360e9, 3e-6), Switch(1024, 40e9, 15e-6), 128, 8)
    ours = simulate(hierarchical("all_reduce", 8, 128), wires, 1e9)
    inside = 2 * (7 * 3e-6 + 7 / 8 * 1e9 / 360e9)
    between = 2 * (127 * 15e-6 + 127 / 128 * 1e9 / 8 / 40e9)
    assert ours.seconds == pytest.approx(inside + between, rel=1e-9)
    assert [phase.label for phase in ours.phases] == [
        "reduce-scatter inside", "reduce-scatter between", "all-gather between", "all-gather inside",
    ]  # fmt: skip
