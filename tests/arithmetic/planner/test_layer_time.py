"""Parts of a step. Oracle: Korthikanti et al. 2022, Table 4: measured milliseconds of one layer of the 22B model."""

from itertools import pairwise

import pytest

from course_lib.arithmetic import Layout, Software, custom_cluster, instance_cluster, pipeline_bubble
from course_lib.arithmetic.planner.communication import exchange_seconds, gather_seconds, group_rate
from course_lib.arithmetic.planner.layer_time import layer_time
from course_lib.arithmetic.planner.layout import check_layout
from course_lib.arithmetic.planner.pace import inside_layer
from course_lib.arithmetic.planner.step_time import step_time
from course_lib.arithmetic.planner.workload import workload

SELENE = custom_cluster("a100-80gb", 64, network_gbit_per_s_per_node=1600)


@pytest.mark.parametrize(
    ("recomputation", "sequence_parallel", "forward_ms", "backward_ms"),
    [
        ("none", False, 7.7, 11.9),
        ("none", True, 7.2, 11.8),
        ("full", False, 7.7, 19.5),
        ("selective", False, 7.7, 13.2),
        ("selective", True, 7.2, 13.1),
    ],
)
def test_one_layer_takes_the_measured_milliseconds(recomputation, sequence_parallel, forward_ms, backward_ms):
    """Oracle: Korthikanti Table 4, within 8 %."""
    w = workload("megatron-22b", custom_cluster("a100-80gb", 8), 4, software="megatron")
    layout = Layout(tensor_parallel=8, microbatch=4, recomputation=recomputation, sequence_parallel=sequence_parallel)
    time, sent = layer_time(w, layout), inside_layer(w, layout)
    forward = time.forward_seconds + sent.shown_forward
    backward = time.backward_seconds + time.recompute_seconds + sent.shown_backward
    assert 1000 * forward == pytest.approx(forward_ms, rel=0.08)
    assert 1000 * backward == pytest.approx(backward_ms, rel=0.08)


def test_tensor_parallelism_divides_a_layers_time_and_recomputation_adds_to_it():
    """Oracle: t devices do 1/t of the FLOPs each; narrower matmuls lose a little."""
    w = workload("llama3-70b", SELENE, 64)
    times = [layer_time(w, Layout(tensor_parallel=t)) for t in (1, 2, 4, 8)]
    for wide, narrow in pairwise(times):
        assert 0.5 <= narrow.forward_seconds / wide.forward_seconds < 0.55
    none, selective, full = (
        layer_time(w, Layout(recomputation=r)).recompute_seconds for r in ("none", "selective", "full")
    )
    assert none == 0 < selective < full


def test_a_group_inside_a_node_gets_its_links_and_one_across_nodes_its_share_of_the_cards():
    """Oracle: 300 GB/s of NVLink and 8 cards of 25 GB/s, times the calibrated shares."""
    w = workload("llama3-8b", SELENE, 64)
    e = w.efficiency
    assert group_rate(w, 8, 1)[0] == 300e9 * e.link
    assert group_rate(w, 8, 8)[0] == pytest.approx(25e9 * e.network)  # one member in each node
    assert group_rate(w, 64, 1)[0] == pytest.approx(200e9 * e.network)  # eight members share all cards
    assert group_rate(w, 16, 2)[0] == pytest.approx(100e9 * e.network)


def test_a_gather_moves_n_minus_1_shares():
    """Oracle: (n-1)/n of the bytes at the group's rate (Thakur et al. 2005), plus start-ups below a millisecond."""
    w = workload("llama3-8b", SELENE, 64)
    seconds = gather_seconds(w, 8e9, 8, 8)
    assert seconds == pytest.approx(7 / 8 * 8e9 / group_rate(w, 8, 8)[0], abs=1e-3)
    assert gather_seconds(w, 8e9, 1, 1) == 0
    assert exchange_seconds(w, 8e9, 1, 1) == 0
    assert exchange_seconds(w, 8e9, 64, 1) > exchange_seconds(w, 8e9, 8, 1)


@pytest.mark.parametrize(
    "layout",
    [
        Layout(tensor_parallel=8, data_parallel=8),
        Layout(tensor_parallel=2, pipeline_parallel=4, data_parallel=8, zero_stage=0),
        Layout(pipeline_parallel=8, data_parallel=8, schedule="interleaved", virtual_stages=2),
        Layout(tensor_parallel=4, context_parallel=4, data_parallel=4, zero_stage=3, recomputation="full"),
        Layout(data_parallel=64, zero_stage=3, shard_parallel=8),
    ],
    ids=str,
)
def test_a_step_is_the_sum_of_its_parts(layout):
    """Oracle: addition; the bubble and the exposed part are each at most what the formulas allow."""
    w = workload("llama3-8b", SELENE, 512)
    time = step_time(w, layout, check_layout(w.config, layout, 64, 512, w.sequence_length))
    parts = time.compute_seconds + time.bubble_seconds + time.exposed_seconds + time.optimizer_seconds
    assert time.seconds == pytest.approx(parts)
    assert all(kind.exposed_seconds <= kind.total_seconds * (1 + 1e-12) for kind in time.communication.values())
    if layout.pipeline_parallel > 1:
        ideal = pipeline_bubble(
            layout.pipeline_parallel, time.microbatches, layout.schedule, layout.virtual_stages
        ).bubble_over_ideal
        inside = time.compute_seconds + sum(time.communication[k].exposed_seconds for k in ("tensor", "context"))
        assert time.bubble_seconds == pytest.approx(ideal * inside)


def test_hybrid_sharding_keeps_the_gathers_inside_the_node():
    """Oracle: a ring inside one node is faster than one across eight; only one sum of gradients a step leaves it."""
    w = workload("llama3-8b", SELENE, 64, software="megatron")  # nothing hidden: totals are what is sent
    whole = step_time(w, Layout(data_parallel=64, zero_stage=3), 8).communication["data"]
    hybrid = step_time(w, Layout(data_parallel=64, zero_stage=3, shard_parallel=8), 8).communication["data"]
    assert hybrid.total_seconds < whole.total_seconds


def test_software_hides_the_share_that_it_says():
    """Oracle: multiplication."""
    layout = Layout(tensor_parallel=2, pipeline_parallel=8, data_parallel=4)
    for share in (0.0, 0.25, 1.0):
        software = Software("x", hidden_tensor=share, hidden_tensor_backward=share, hidden_pipeline=share)
        sent = step_time(workload("llama3-8b", SELENE, 64, software=software), layout, 16).communication
        for kind in ("tensor", "pipeline"):
            assert sent[kind].exposed_seconds == pytest.approx((1 - share) * sent[kind].total_seconds)


def test_experts_that_meet_more_tokens_work_faster():
    """Oracle: alone, each of 256 experts sees 1/32 of one device's tokens; in a group of 64, that of 64 devices."""
    w = workload("deepseek-v3", SELENE, 64, sequence_length=4096)
    alone = layer_time(w, Layout(data_parallel=64)).forward_seconds
    together = layer_time(w, Layout(data_parallel=64, expert_parallel=64)).forward_seconds
    assert together < 0.9 * alone


@pytest.mark.parametrize(
    ("tensor", "heads_a_rank", "recomputation", "passes"), [(2, 4, "none", 3), (8, 1, "full", 4), (16, 1, "none", 3)]
)
def test_a_ring_sends_keys_and_values_forward_and_twice_as_much_backward(tensor, heads_a_rank, recomputation, passes):
    """Oracle: Liu et al. 2023, section 3; with more tensor ranks than the 8 key heads each rank still has one."""
    w = workload("llama3-8b", SELENE, 64, software=Software("nothing hidden"))
    layout = Layout(tensor_parallel=tensor, context_parallel=4, recomputation=recomputation)
    keys_and_values = 2 * heads_a_rank * 128 * 8192 * 2  # bytes, of the whole sequence in bf16
    ring = gather_seconds(w, keys_and_values, 4, tensor)
    assert inside_layer(w, layout).kinds[1].total_seconds == pytest.approx(passes * ring)


def test_experts_exchange_tokens_and_outputs_in_both_passes():
    """Oracle: Lepikhin et al. 2020 (GShard): one all-to-all to the experts and one back, each with its gradient."""
    w = workload("mixtral-8x7b", SELENE, 64, sequence_length=4096, software=Software("nothing hidden"))
    one = exchange_seconds(w, 4096 * 4096 * 2 * 2, 8, 1)  # tokens, hidden size, experts per token, bytes in bf16
    assert inside_layer(w, Layout(expert_parallel=8, data_parallel=8)).kinds[2].total_seconds == pytest.approx(4 * one)


@pytest.mark.parametrize(("model", "less"), [("mixtral-8x7b", True), ("deepseek-v3", True), ("llama3-8b", False)])
def test_with_sequence_parallelism_whole_matrices_meet_a_part_of_the_tokens(model, less):
    """Oracle: Korthikanti et al. 2022, section 4.2.2; only routers and latent projections are whole matrices."""
    w = workload(model, SELENE, 64, sequence_length=4096)
    whole, part = (
        layer_time(w, Layout(tensor_parallel=8, sequence_parallel=on)).weight_seconds for on in (False, True)
    )
    assert part < whole if less else part == whole


@pytest.mark.parametrize(
    ("name", "gb_per_s"), [("p5.48xlarge", 450), ("trn1.32xlarge", 192), ("trn1n.32xlarge", 384), ("g6.48xlarge", 31.5)]
)
def test_an_instance_brings_the_links_inside_of_its_node(name, gb_per_s):
    """Oracle: NVLink 4, NeuronLink-v2 and PCI Express in one direction, as their makers print them."""
    assert instance_cluster(name).link_bytes_per_s == pytest.approx(gb_per_s * 1e9)
