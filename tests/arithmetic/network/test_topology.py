"""Who is wired to whom."""

import itertools

import pytest

from course_lib.arithmetic.collectives import ArithmeticInputError
from course_lib.arithmetic.network import Cluster, Degraded, FatTree, Mesh, Switch, Torus, ring_order

NODE = Switch(4, 100e9, 1e-6)
EXAMPLES = {
    "switch": Switch(5, 1e9, 1e-6),
    "mesh": Mesh(5, 1e9, 1e-6),
    "ring": Torus((6,), (1e9,), 1e-6),
    "torus": Torus((4, 4), (1e9, 2e9), 1e-6),
    "torus 3": Torus((3, 2, 4), (1e9, 2e9, 3e9), 1e-6),
    "fat tree": FatTree(7, 3, 1e9, 1e-6, 2),
    "cluster": Cluster(NODE, FatTree(6, 2, 1e9, 1e-5), 3, 2),
    "rails": Cluster(NODE, FatTree(6, 3, 1e9, 1e-5), 3, 2, rails=True),
    "nested": Cluster(Cluster(NODE, Switch(2, 1e9, 1e-5), 2, 1), Switch(3, 1e8, 1e-4), 3, 1),
    "degraded": Degraded(Switch(5, 1e9, 1e-6), {"port 3 out": 0.5}),
}


@pytest.mark.parametrize("topology", EXAMPLES.values(), ids=EXAMPLES)
def test_every_way_goes_over_links_that_exist_and_never_twice_over_one(topology):
    """Oracle: the topology's own links."""
    used = set()
    for source, target in itertools.permutations(range(topology.ranks), 2):
        way = topology.route(source, target)
        assert way.links
        assert len(set(way.links)) == len(way.links)
        assert set(way.links) <= set(topology.capacities)
        assert way.alpha_seconds > 0
        used |= set(way.links)
    leaf_links = {link for link in topology.capacities if "leaf" in link}
    assert set(topology.capacities) - used <= leaf_links


@pytest.mark.parametrize("dims", [(2,), (3,), (4,), (4, 4), (3, 4), (2, 3, 5), (1, 4)])
def test_a_torus_takes_the_short_way_around(dims):
    """Oracle: the sum of ring distances; each hop's link begins where the one before ended."""
    torus = Torus(dims, (1.0,) * len(dims), 1.0)
    places = list(itertools.product(*map(range, dims)))
    for (source, a), (target, b) in itertools.permutations(enumerate(places), 2):
        way = torus.route(source, target)
        steps = [abs(x - y) for x, y in zip(a, b, strict=True)]
        assert len(way.links) == sum(min(d, size - d) for d, size in zip(steps, dims, strict=True))
        assert way.alpha_seconds == len(way.links)
        here = list(a)
        for link in way.links:
            start, _, axis, turn = link.split()
            assert places[int(start)] == tuple(here)
            here[int(axis)] = (here[int(axis)] + (1 if turn == "up" else -1)) % dims[int(axis)]
        assert tuple(here) == b


@pytest.mark.parametrize("dims", [(2,), (5,), (4, 4), (3, 3), (2, 3), (3, 2), (5, 6), (3, 4, 5), (3, 3, 3), (4, 4, 4)])
def test_a_ring_through_a_torus_steps_from_neighbor_to_neighbor(dims):
    """Oracle: every step is one hop, the last back to the first included."""
    order = ring_order(dims)
    torus = Torus(dims, (1.0,) * len(dims), 1.0)
    assert sorted(order) == list(range(torus.ranks))
    assert all(len(torus.route(a, b).links) == 1 for a, b in zip(order, [*order[1:], order[0]], strict=True))


def test_devices_share_cards_evenly():
    """Oracle: by hand, 8 devices on 4 cards and 4 devices on one."""
    wide = Cluster(Switch(8, 1e9, 0), Switch(8, 1e9, 0), 2, 4)
    assert [wide.endpoint(rank) for rank in range(16)] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]
    rails = Cluster(Switch(8, 1e9, 0), Switch(8, 1e9, 0), 2, 4, rails=True)
    assert [rails.endpoint(rank) for rank in range(16)] == [0, 0, 2, 2, 4, 4, 6, 6, 1, 1, 3, 3, 5, 5, 7, 7]
    narrow = Cluster(NODE, Switch(2, 1e9, 0), 2, 1)
    assert [narrow.endpoint(rank) for rank in range(8)] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_a_fat_trees_trunk_shrinks_with_oversubscription():
    """Oracle: by hand: 16 ports of 50 GB/s over 2:1."""
    assert FatTree(64, 16, 50e9, 0, 2).capacities["leaf 3 up"] == 400e9
    assert FatTree(64, 16, 50e9, 0).route(3, 15).links == ("port 3 out", "port 15 in")
    assert FatTree(64, 16, 50e9, 0).route(3, 16).links == ("port 3 out", "leaf 0 up", "leaf 1 down", "port 16 in")


def test_a_bad_link_keeps_its_share_and_the_others_theirs():
    """Oracle: by hand."""
    ours = EXAMPLES["degraded"].capacities
    assert (ours["port 3 out"], ours["port 3 in"], ours["port 2 out"]) == (0.5e9, 1e9, 1e9)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Switch(0, 1e9, 0), "ranks=0"),
        (lambda: Switch(4, 0, 0), "bytes_per_second=0"),
        (lambda: Mesh(4, 1e9, -1), "alpha_seconds=-1"),
        (lambda: Torus((4, 4), (1e9,), 0), "bytes_per_second"),
        (lambda: Torus((), (), 0), "bytes_per_second"),
        (lambda: FatTree(8, 0, 1e9, 0), "per_leaf=0"),
        (lambda: FatTree(8, 4, 1e9, 0, 0.5), "oversubscription=0.5"),
        (lambda: Cluster(NODE, Switch(8, 1e9, 0), 2, 2), "must have nodes * cards"),
        (lambda: Cluster(NODE, Switch(16, 1e9, 0), 2, 8), "cards=8"),
        (lambda: Degraded(NODE, {"port 9 out": 0.5}), "'port 0 out'"),
        (lambda: Degraded(NODE, {"port 1 out": 0}), "above 0"),
        (lambda: Degraded(NODE, {"port 1 out": 50}), "at most 1"),
        (lambda: ring_order((3, 5)), "even size"),
        (lambda: ring_order((0,)), "dims=0"),
    ],
)
def test_a_network_that_cannot_be_is_refused(call, says):
    """Oracle: the value and the way out stand in the message."""
    with pytest.raises(ArithmeticInputError, match="Remedy") as raised:
        call()
    assert says in str(raised.value)
