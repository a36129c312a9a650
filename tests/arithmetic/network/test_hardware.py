"""Machines of the catalog as topologies, and measurements that somebody published."""

from dataclasses import replace

import pytest

from course_lib.arithmetic.collectives import ArithmeticInputError
from course_lib.arithmetic.network import (
    FatTree,
    Mesh,
    Switch,
    Torus,
    cluster_topology,
    hierarchical,
    node_topology,
    parallel_rings_all_reduce,
    schedule,
    simulate,
)
from course_lib.catalog import CatalogError, UnknownNameError, network

WIRE = {"efficiency": 1.0, "efficiency_source": "assumed: the wire itself"}


def test_intels_own_runs_on_a_gaudi_3_box_come_out():
    """Oracle: Gaudi docs, Collectives Performance: 915.792 us for 256 MiB, 230.642 us for 8 x 16 MiB."""
    box = node_topology("gaudi3-scale-up")
    reduced = simulate(schedule("all_reduce", 8, "direct"), box, 2**28)
    gathered = simulate(schedule("all_gather", 8, "direct"), box, 8 * 2**24)
    assert reduced.seconds == pytest.approx(915.792e-6, rel=1e-3)
    assert gathered.seconds == pytest.approx(230.642e-6, rel=1e-3)
    assert reduced.bus_bandwidth_bytes_per_s == pytest.approx(512.957e9, rel=1e-3)
    assert gathered.bus_bandwidth_bytes_per_s == pytest.approx(509.189e9, rel=1e-3)


@pytest.mark.parametrize(("op", "busbw"), [("all_reduce", 367.2), ("all_gather", 361.4), ("reduce_scatter", 362.9)])
def test_rings_on_8_h200_come_out(op, busbw):
    """Oracle: nccl-tests at 16 GiB as published by stas00/ml-engineering, commit 744d01e1."""
    ours = simulate(schedule(op, 8, "ring"), node_topology("p5en.48xlarge"), 2**34)
    assert ours.bus_bandwidth_bytes_per_s / 1e9 == pytest.approx(busbw, rel=0.02)


@pytest.mark.parametrize(
    ("instance", "inside", "nodes", "size", "seconds"),
    [
        ("p6-b200.48xlarge", "nvlink5", 4, 2**32, 2 * 31 / 32 * 2**32 / 377.34e9),
        ("p6-b200.48xlarge", "nvlink5", 4, 2**30, 2 * 31 / 32 * 2**30 / 361.99e9),
        ("p4de.24xlarge", "nvlink3", 2, 2**31, 51406e-6),
        ("p4de.24xlarge", "nvlink3", 2, 2**30, 26217e-6),
    ],
)
def test_measured_clusters_lie_between_full_overlap_and_none(instance, inside, nodes, size, seconds):
    """Oracle: nccl-tests: B200 by stas00/ml-engineering, commit 744d01e1; A100 by AWS's awsome-distributed-training."""
    fabric = {"p6-b200.48xlarge": "efa-p6-b200", "p4de.24xlarge": "efa-p4d"}[instance]
    wires = cluster_topology(replace(network(inside), **WIRE), nodes, fabric=replace(network(fabric), **WIRE))
    ours = simulate(hierarchical("all_reduce", 8, nodes), wires, size)
    assert ours.link_bound_seconds < seconds < 1.06 * ours.seconds


@pytest.mark.parametrize(
    ("name", "shape", "devices"),
    [
        ("p4d.24xlarge", Switch, 8), ("p5.48xlarge", Switch, 8), ("p5en.48xlarge", Switch, 8),
        ("p6-b200.48xlarge", Switch, 8), ("trn1.32xlarge", Torus, 16), ("trn2.48xlarge", Torus, 16),
        ("neuronlink-v3-ultraserver", Torus, 64), ("gaudi3-scale-up", Mesh, 8), ("dl1.24xlarge", Mesh, 8),
    ],
)  # fmt: skip
def test_a_node_has_the_shape_of_its_machine(name, shape, devices):
    """Oracle: the vendors' descriptions, as the catalog cites them."""
    ours = node_topology(name, assumed_efficiency=0.8, assumed_alpha_seconds=5e-6)
    assert (type(ours), ours.ranks) == (shape, devices)


def test_published_figures_are_used_and_assumed_ones_only_where_there_are_none():
    """Oracle: the catalog's rows: 0.816 of 450 GB/s; 128 GB/s a link without an efficiency."""
    assert node_topology("nvlink4", assumed_efficiency=0.1).capacities["chip 0 out"] == pytest.approx(0.816 * 450e9)
    torus = node_topology("trn2.48xlarge", assumed_efficiency=0.5)
    assert set(torus.capacities.values()) == {64e9}
    assert torus.alpha_seconds == pytest.approx(1.5e-6)


def test_an_ultraservers_third_dimension_is_half_as_fast():
    """Oracle: Neuron docs: 1,024 GB/s of a chip inside an instance, 256 GB/s between instances."""
    server = node_topology("neuronlink-v3-ultraserver", assumed_efficiency=1)
    assert server.dims == (4, 4, 4)
    assert server.bytes_per_second == (128e9, 128e9, 64e9)
    assert sum(2 * 2 * rate for rate in server.bytes_per_second) == 1280e9


@pytest.mark.parametrize(
    ("instance", "cards", "rate"),
    [("p5.48xlarge", 8, 50e9), ("p4d.24xlarge", 4, 12.5e9), ("trn1.32xlarge", 8, 12.5e9), ("trn2.48xlarge", 16, 25e9)],
)
def test_cards_of_one_device_are_added_and_cards_of_several_shared(instance, cards, rate):
    """Oracle: by hand from the network cards: 32 x 100 for 8, 4 x 100 for 8, 8 x 100 for 16, 16 x 200 for 16 Gbit/s."""
    ours = cluster_topology(instance, 2, assumed_efficiency=1)
    assert ours.cards == cards
    share = network({"p5.48xlarge": "efa-p5", "p4d.24xlarge": "efa-p4d"}.get(instance, "efa-trn1")).efficiency or 1
    assert ours.fabric.bytes_per_second == pytest.approx(rate * share)


def test_a_rail_joins_the_same_card_of_many_nodes():
    """Oracle: a DGX SuperPOD's leaf has 32 nodes' cards of one number: no trunk between ranks of one local number."""
    ours = cluster_topology("nvlink4", 64, fabric="infiniband-ndr", assumed_efficiency=0.8)
    assert isinstance(ours.fabric, FatTree)
    assert ours.fabric.per_leaf == 32
    assert not any("leaf" in link for link in ours.route(3, 8 * 31 + 3).links)
    assert any("leaf" in link for link in ours.route(3, 8 * 31 + 4).links)
    assert any("leaf" in link for link in ours.route(3, 8 * 32 + 3).links)


def test_stages_on_rails_do_not_feel_an_oversubscribed_spine_while_they_fit_a_leaf():
    """Oracle: by hand: between nodes, two stages send among ranks of one local number only."""
    options = {"fabric": "infiniband-ndr", "assumed_efficiency": 0.8}
    full, thin = (cluster_topology("nvlink4", 32, oversubscription=o, **options) for o in (1, 8))
    ours = hierarchical("all_reduce", 8, 32)
    assert simulate(ours, thin, 1e9).seconds == pytest.approx(simulate(ours, full, 1e9).seconds)


def test_ranks_of_schedule_and_cluster_count_alike():
    """Oracle: a message of the inner stage never leaves its node."""
    wires = cluster_topology("p5.48xlarge", 4)
    stages = simulate(hierarchical("all_reduce", 8, 4), wires, 1e9)
    rings = simulate(parallel_rings_all_reduce(8, 4), wires, 1e9)
    sent = {link for link in stages.link_bytes if link.startswith("fabric")}
    assert stages.link_bytes["fabric: card 0 out"] == pytest.approx(2 * 3 / 4 * 1e9 / 8)
    assert rings.link_bytes["fabric: card 0 out"] == pytest.approx(2 * 31 / 32 * 1e9 / 8)
    assert len(sent) == 2 * 32


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: node_topology("trn2.48xlarge"), ArithmeticInputError, "assumed_efficiency=0.8"),
        (lambda: node_topology("gaudi2-scale-up", assumed_efficiency=1), ArithmeticInputError, "assumed_alpha_seconds"),
        (lambda: node_topology("trn2.48xlarge", assumed_efficiency=80), ArithmeticInputError, "write 0.8 for 80 %"),
        (lambda: node_topology("efa-p5"), ArithmeticInputError, "scope 'cluster'"),
        (lambda: node_topology("p5.48xlrage"), UnknownNameError, "'p5.48xlarge'"),
        (lambda: node_topology("nvlnik4"), UnknownNameError, "'nvlink4'"),
        (lambda: node_topology("g5.xlarge"), CatalogError, "no node network"),
        (lambda: cluster_topology("nvlink4", 4), ArithmeticInputError, "fabric='infiniband-ndr'"),
        (lambda: cluster_topology(network("nvlink4"), 4), ArithmeticInputError, "fabric='infiniband-ndr'"),
        (lambda: cluster_topology("nvlink4", 4, fabric="nvlink4"), ArithmeticInputError, "scope 'node'"),
        (lambda: cluster_topology("p5.48xlarge", 0), ArithmeticInputError, "nodes=0"),
        (lambda: cluster_topology("p5.48xlarge", 4, oversubscription=2), ArithmeticInputError, "has no leaves"),
        (
            lambda: cluster_topology("nvlink4", 48, fabric="infiniband-ndr", assumed_efficiency=1),
            ArithmeticInputError,
            "multiple of nodes_per_leaf=32",
        ),
        (
            lambda: cluster_topology(
                "gaudi3-scale-up", 4, fabric="gaudi3-scale-out", assumed_efficiency=1, assumed_alpha_seconds=0
            ),
            ArithmeticInputError,
            "nodes_per_leaf",
        ),
    ],
)
def test_what_the_catalog_does_not_know_is_not_made_up(call, error, says):
    """Oracle: the value and the way out stand in the message."""
    with pytest.raises(error, match="Remedy") as raised:
        call()
    assert says in str(raised.value)
