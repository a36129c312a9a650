"""Memory of a layout. Oracle: the published formulas, which the room's own functions reproduce exactly."""

from dataclasses import replace

import pytest

from course_lib.arithmetic import (
    Layout,
    count_parameters,
    custom_cluster,
    layer_activations,
    predict,
    training_memory,
)
from course_lib.arithmetic.planner.memory import RUNTIME_BYTES, layer_bytes, memory_by_kind
from course_lib.arithmetic.planner.workload import workload
from course_lib.catalog import gpt_config, published_points

SELENE = custom_cluster("a100-80gb", 64, network_gbit_per_s_per_node=1600)
DEEPSPEED = "deepspeed-zero3"  # 2 bytes per gradient, as ZeRO counts
STAGES = [p for p in published_points("zero_memory") if p.inputs.get("params_b") == 7.5 and p.inputs["dp"] > 1]


@pytest.mark.parametrize("point", STAGES, ids=lambda p: p.id)
def test_model_states_are_zeros_table(point):
    """Oracle: Rajbhandari et al. 2020, Table 1, 7.5 billion parameters: within 5 %."""
    i, shape = point.inputs, gpt_config(hidden_size=4096, layers=36, heads=32)
    devices = i["dp"]
    cluster = custom_cluster("a100-80gb", devices, network_gbit_per_s_per_node=1600)
    layout = Layout(data_parallel=devices, zero_stage=i["stage"])
    memory = predict(shape, cluster, layout, devices, software=DEEPSPEED).memory
    assert memory.model_states_bytes / 1e9 == pytest.approx(point.value, rel=0.05)


@pytest.mark.parametrize(
    ("layout", "bytes_per_element"),
    [
        (Layout(tensor_parallel=1, sequence_parallel=False), 114),
        (Layout(tensor_parallel=8, sequence_parallel=False), 23),
        (Layout(tensor_parallel=8), 14.25),
        (Layout(tensor_parallel=8, sequence_parallel=False, recomputation="selective"), 13),
        (Layout(tensor_parallel=8, recomputation="selective"), 4.25),
        (Layout(tensor_parallel=8, sequence_parallel=False, recomputation="full"), 2),
    ],
    ids=str,
)
def test_a_layer_keeps_korthikantis_bytes(layout, bytes_per_element):
    """Oracle: Korthikanti et al. 2022, Table 2, evaluated for GPT-3: exactly."""
    shape = gpt_config(hidden_size=12288, layers=96, heads=96)
    w = workload(shape, SELENE, 64, software="megatron")
    assert layer_bytes(w, layout) == pytest.approx(bytes_per_element * 2048 * 12288)


@pytest.mark.parametrize("stage", range(4))
def test_without_a_pipeline_the_planner_and_training_memory_agree(stage):
    """Oracle: training_memory, tested on its own against the papers."""
    layout = Layout(tensor_parallel=4, context_parallel=2, data_parallel=8, zero_stage=stage, recomputation="full")
    memory = memory_by_kind(workload("llama3-8b", SELENE, 64, software=DEEPSPEED), layout, 8)
    known = training_memory(
        "llama3-8b", zero_stage=stage, data_parallel=8, tensor_parallel=4, context_parallel=2, recomputation="full",
        sequence_parallel=True,
    )  # fmt: skip
    assert memory.model_states_bytes == pytest.approx(known.model_states_bytes)
    layers = layer_activations(
        "llama3-8b", tensor_parallel=4, context_parallel=2, sequence_parallel=True, recomputation="full"
    )
    assert memory.activations_bytes == pytest.approx(32 * layers.total_bytes)


def test_context_parallelism_divides_activations_by_its_degree():
    """Oracle: each device holds 1/c of the tokens; scores have 1/c of the queries and all of the keys."""
    for flash in (True, False):
        whole = layer_activations("llama3-8b", flash_attention=flash)
        part = layer_activations("llama3-8b", flash_attention=flash, context_parallel=8)
        assert part.total_bytes == pytest.approx(whole.total_bytes / 8)
    states = training_memory("llama3-8b", zero_stage=3, data_parallel=4, context_parallel=2)
    assert states.model_states_bytes == pytest.approx(16 * count_parameters("llama3-8b").total / 8)


def test_pipeline_stages_hold_their_own_ends():
    """Oracle: addition: the first stage's layers and table, the last one's layers, head and logits."""
    w = workload("llama3-8b", SELENE, 64, software="llama3")
    count = count_parameters("llama3-8b")
    body = count.total - count.embedding - count.output_head
    layout = Layout(pipeline_parallel=2, data_parallel=32, zero_stage=0)
    memory = memory_by_kind(w, layout, 2)
    assert memory.parameters_bytes == pytest.approx(2 * (body / 2 + count.embedding))
    assert memory.total_bytes == pytest.approx(
        memory.model_states_bytes
        + memory.activations_bytes
        + memory.logits_bytes
        + memory.buffers_bytes
        + memory.reserve_bytes
    )


def test_gpipe_keeps_all_microbatches_and_1f1b_only_as_many_as_stages():
    """Oracle: Narayanan et al. 2021, section 2.2."""
    w = workload("llama3-8b", SELENE, 512, software="llama3")
    eager = Layout(tensor_parallel=4, pipeline_parallel=4, data_parallel=4)
    one, all_ = memory_by_kind(w, eager, 128), memory_by_kind(w, replace(eager, schedule="gpipe"), 128)
    assert all_.activations_bytes == pytest.approx(128 / 4 * one.activations_bytes)


def test_expert_parallelism_divides_the_experts_and_nothing_else():
    """Oracle: Mixtral's 45.1 billion routed parameters over 8 devices, its shared ones whole."""
    count = count_parameters("mixtral-8x7b")
    w = workload("mixtral-8x7b", SELENE, 64, software="llama3")
    memory = memory_by_kind(w, Layout(data_parallel=64, expert_parallel=8, zero_stage=0), 1)
    shared = count.total - count.routed_experts
    assert memory.parameters_bytes == pytest.approx(2 * (shared + count.routed_experts / 8))


def test_experts_are_sharded_among_the_devices_that_hold_the_same_ones():
    """Oracle: of 64 devices in groups of 8, each expert is on 8; Adam's 12 bytes are divided among as many."""
    count = count_parameters("mixtral-8x7b")
    w = workload("mixtral-8x7b", SELENE, 64, software="llama3")
    memory = memory_by_kind(w, Layout(data_parallel=64, expert_parallel=8, zero_stage=1), 1)
    shared = count.total - count.routed_experts
    assert memory.optimizer_bytes == pytest.approx(12 * (shared / 64 + count.routed_experts / 8 / 8))


def test_a_tied_table_stands_on_the_last_stage_too():
    """Oracle: addition; long sequences make the last stage, with its logits, the fullest."""
    shape = replace(gpt_config(hidden_size=1024, layers=24, heads=16), tied_embeddings=True)
    count = count_parameters(shape)
    assert not count.output_head
    w = workload(shape, SELENE, 512, sequence_length=8192, software="llama3")
    layout = Layout(pipeline_parallel=2, data_parallel=32, zero_stage=0, recomputation="full")
    memory = memory_by_kind(w, layout, 1)
    assert memory.logits_bytes > 0
    assert memory.parameters_bytes == pytest.approx(2 * ((count.total - count.embedding) / 2 + count.embedding))


def test_dualpipe_keeps_two_stages_weights_on_each_device():
    """Oracle: DeepSeek-AI 2024, table 2: DualPipe holds the parameters twice."""
    w = workload("llama3-8b", SELENE, 512)
    one, both = (
        memory_by_kind(w, Layout(pipeline_parallel=4, data_parallel=16, schedule=schedule), 8).parameters_bytes
        for schedule in ("zb1p", "dualpipe")
    )
    assert both == pytest.approx(2 * one)


@pytest.mark.parametrize(("stage", "bytes_"), [(0, 0), (1, 0), (2, 2), (3, 4)])
def test_what_zero_gathers_is_there_two_layers_at_a_time(stage, bytes_):
    """Oracle: Rajbhandari et al. 2020, section 5: gradients before their scatter, and for stage 3 weights as well."""
    w = workload("llama3-8b", SELENE, 512)
    count = count_parameters("llama3-8b")
    body = count.total - count.embedding - count.output_head
    buffers = memory_by_kind(w, Layout(data_parallel=64, zero_stage=stage), 1).buffers_bytes - RUNTIME_BYTES
    whole_ends = 2 * max(count.embedding, count.output_head) if stage == 3 else 0
    assert buffers == pytest.approx(2 * bytes_ * body / 32 + whole_ends, abs=1)
