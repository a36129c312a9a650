"""Every published point, computed by a public function. Oracle: the papers' own tables (catalog/data/published.json).

A point is computed here, or listed in NOT_COMPUTED with the reason, or its whole topic stands in another file; the last
test asserts that none is left.
"""

import pytest

from course_lib import arithmetic as a
from course_lib.catalog import ModelConfig, gpt_config, published_points

DAY = 86_400
ELSEWHERE = {  # topic → the file that compares all of its points
    "hardware": "tests/catalog",
    "price": "tests/catalog",
    "moe_params": "test_published_moe.py",
    "moe_params_exact": "test_published_moe.py",
    "compression": "test_published_compression.py",
}

NOT_COMPUTED = {
    "korth_t4_baseline": "measured milliseconds; only adding two of them up gives the third",
    "korth_t4_full_recompute": "measured milliseconds; only adding two of them up gives the third",
    "korth_t4_selective_sp": "measured milliseconds; only adding two of them up gives the third",
    "llama3_effective_time": "a measured lower bound without inputs: no checkpoint or restart time is published",
    "llama3_interruptions_total": "a count, 47 + 419, and no formula",
    "lossfree_3B_lossfree": "a measured load imbalance of a trained model",
    "switch_base64_speedup": "a measured time to quality",
}


def gpt(i) -> ModelConfig:
    """A GPT shape from a point's inputs; heads change neither parameters nor FLOPs."""
    return gpt_config(
        hidden_size=i["hidden"],
        layers=i["layers"],
        heads=i.get("heads", i["hidden"] // 128),
        vocab_size=i.get("vocab", 51_200),
        context_length=i.get("seq", 2048),
    )


def params_dense(p):
    shape = p.inputs["model"] if "model" in p.inputs else gpt(p.inputs)
    return a.count_parameters(shape).total / 1e9


def throughput(p):
    i = p.inputs
    if "tflops_per_gpu" in i:
        return a.aggregate_flops_per_s(i["tflops_per_gpu"] * 1e12, i["gpus"]) / 1e15
    if "hidden" in i:
        step = a.training_flops(gpt(i), i["batch"] * i["seq"], method="exact", recomputation="full")
        return a.flops_per_s_per_accelerator(step.hardware_flops, i["iter_s"], i["gpus"]) / 1e12
    return a.tokens_per_second(i["batch"], i["seq"], i["iter_s"]) / 1e3


def mfu_hfu(p):
    i, peak = p.inputs, p.inputs["peak_tflops"] * 1e12
    if "tflops_per_gpu" in i:
        return 100 * a.mfu(i["tflops_per_gpu"] * 1e12, 1, peak_flops_per_s=peak)
    if "aggregate_pflops" in i:
        return 100 * a.mfu(i["aggregate_pflops"] * 1e15, 1, i["gpus"], peak_flops_per_s=peak)
    if "iter_s" in i:
        flops = a.training_flops(gpt(i), i["batch"] * i["seq"], method="korthikanti", recomputation="selective")
        if "hfu" in p.id:
            return 100 * a.hfu(flops.hardware_flops, i["iter_s"], i["gpus"], peak_flops_per_s=peak)
        return 100 * a.mfu(flops.model_flops, i["iter_s"], i["gpus"], peak_flops_per_s=peak)
    if "chips" in i:
        flops = a.training_flops("palm-540b", i["tokens_s"], sequence_length=i.get("seq"))
        return 100 * a.mfu(flops.model_flops, 1, i["chips"], peak_flops_per_s=peak)
    assert a.count_parameters("llama3-8b").total == i["params"]
    flops = a.training_flops(
        "llama3-8b", i["tokens_s_per_gpu"], sequence_length=i["seq"], include_input_embedding=False
    )
    return 100 * a.mfu(flops.model_flops, 1, peak_flops_per_s=peak)


def training_time(p):
    i = p.inputs
    if "tokens_s" in i:
        return a.seconds_for_tokens(i["tokens"], i["tokens_s"]) / DAY
    if "gpu_hours" in i:
        return a.wall_seconds(i["gpu_hours"], i["gpus"]) / DAY
    method = {"method": "exact"} if "hidden" in i else {}
    flops = a.training_flops(gpt(i) if "hidden" in i else i["params"], i["tokens"], recomputation="full", **method)
    return a.training_seconds(flops.hardware_flops, i["gpus"], i["tflops_per_gpu"] * 1e12) / DAY


LAYOUTS = {
    "korth_t2_none_bytes_per_sbh_gpt3": {},
    "korth_t2_tp8_gpt3": {"tensor_parallel": 8},
    "korth_t2_tp8_sp_gpt3": {"tensor_parallel": 8, "sequence_parallel": True},
    "korth_t2_tp8_selective_gpt3": {"tensor_parallel": 8, "recomputation": "selective"},
    "korth_t2_tp8_sp_selective_gpt3": {"tensor_parallel": 8, "sequence_parallel": True, "recomputation": "selective"},
    "korth_t2_full": {"tensor_parallel": 8, "recomputation": "full"},
}


def activation_ckpt(p):
    i = p.inputs
    if "full_s" in i:
        return 100 * a.throughput_gain(i["full_s"], i["selective_sp_s"])
    if p.id == "korth_selective_overhead_mtnlg":
        flops = a.training_flops("mt-nlg-530b", 1, method="korthikanti", recomputation="selective")
        return 100 * flops.recomputation_flops / flops.model_flops
    shape = gpt({"layers": 1, **i})
    if p.id == "korth_selective_saving_mtnlg":
        kept = a.layer_activations(shape, recomputation="selective").total_bytes
        return 100 * (1 - kept / a.layer_activations(shape).total_bytes)
    return a.layer_activations(shape, **LAYOUTS[p.id]).total_bytes / (i["seq"] * i["hidden"])


def zero_memory(p):
    i = p.inputs
    if "device_gb" in i:
        return (
            a.largest_model_parameters(
                i["device_gb"] * 1e9, zero_stage=i["stage"], data_parallel=i["dp"], model_parallel=i["mp"]
            )
            / 1e9
        )
    states = a.model_states(
        i["params_b"] * 1e9,
        zero_stage=i["stage"],
        data_parallel=i["dp"],
        optimizer_bytes=i["k_optimizer_bytes"],
    )
    return states.total_bytes / 1e9


def parallel_config(p):
    i = p.inputs
    if "tp" in i:
        return a.world_size(
            tensor_parallel=i["tp"], context_parallel=i["cp"], pipeline_parallel=i["pp"], data_parallel=i["dp"]
        )
    tokens = a.tokens_per_step(data_parallel=i["dp"], sequences_per_replica=i["batch_per_dp"], sequence_length=i["seq"])
    return tokens / 2**20


def goodput(p):
    i = p.inputs
    return 100 * a.mfu(i["flops"], i["gpu_hours"] * 3600, peak_flops_per_s=i["peak_tflops"] * 1e12)


def cost(p):
    i = p.inputs
    if "usd_per_hour" in i:
        return a.cost_usd(i["gpu_hours"], i["usd_per_hour"]) / 1e6
    if "tokens_T" in i:
        return a.accelerator_hours(i["tokens_T"] * 1e12, i["khours_per_T"] * 1e3) / 1e3
    price, reference = i.values()
    return 100 * a.saving(price, reference)


def training_compute(p):
    return a.training_flops(p.inputs["params"], p.inputs["tokens"]).model_flops


def pipeline(p):
    i = p.inputs
    if "tps_1f1b" in i:
        return 100 * a.throughput_gain(1 / i["tps_1f1b"], 1 / i["tps_interleaved"])
    if "F" in i:
        times = {"forward_seconds": i["F"], "backward_seconds": i["B"], "weight_seconds": i["W"]}
        schedule = p.id.removeprefix("dualpipe_")
        return a.pipeline_bubble(i["pp"], i["pp"], schedule, **times).bubble_seconds
    schedule = p.id.split("_")[1]
    return a.pipeline_bubble(i["p"], i["m"], schedule, i.get("v", 1)).bubble_over_ideal


def collectives(p):
    n = p.inputs["n"]
    if "innetwork" in p.id:
        return a.bus_bandwidth_factor("all_reduce", n, in_network=True)
    if "op" not in p.inputs:
        return a.bus_bandwidth_factor("all_reduce", n)
    names = {"allgather": "all_gather", "reducescatter": "reduce_scatter", "alltoall": "all_to_all"}
    factors = {a.bus_bandwidth_factor(names[op], n) for op in p.inputs["op"].split("|")}
    assert len(factors) == 1
    return factors.pop()


def checkpoint(p):
    method = p.id.split("_")[0]
    return float(a.checkpoint_interval(p.inputs["delta_s"], p.inputs["mtbf_s"], method))


def failures(p):
    i = p.inputs
    if "count" in i:
        return 100 * a.failure_share(i["count"], i["total"])
    seconds = a.mean_seconds_between_failures(
        i["gpus"],
        failures_per_1000_node_days=i["failures_per_1000_node_days"],
        accelerators_per_node=i["gpus_per_node"],
    )
    return seconds / 3600


BY_TOPIC = {
    f.__name__: f
    for f in (
        params_dense, throughput, mfu_hfu, training_time, activation_ckpt, zero_memory, parallel_config, goodput, cost,
        training_compute, pipeline, collectives, checkpoint, failures,
    )
}  # fmt: skip

COMPUTED = [p for p in published_points() if p.topic in BY_TOPIC and p.id not in NOT_COMPUTED]


@pytest.mark.parametrize("point", COMPUTED, ids=lambda p: p.id)
def test_our_function_agrees_with_the_published_value(point):
    """Oracle: the value that the source prints, within the tolerance that its printed digits allow."""
    value = BY_TOPIC[point.topic](point)
    # 1e-12 is for points that must agree exactly: a float's last digit is no disagreement
    assert value == pytest.approx(point.value, rel=max(point.tolerance, 1e-12), abs=0)


@pytest.mark.parametrize("point", [p for p in COMPUTED if p.topic == "zero_memory"], ids=lambda p: p.id)
def test_zero_memory_agrees_within_two_percent(point):
    """Oracle: ZeRO's Tables 1 and 2, more strictly than their own tolerance of 3 %."""
    assert zero_memory(point) == pytest.approx(point.value, rel=0.02)


def test_no_published_point_is_left_out():
    """Oracle: the list of points itself; covered and listed ones together are all of them, and do not overlap."""
    points = [p for p in published_points() if p.topic not in ELSEWHERE]
    assert {p.id for p in COMPUTED} | set(NOT_COMPUTED) == {p.id for p in points}
    assert not {p.id for p in COMPUTED} & set(NOT_COMPUTED)
    assert all(reason.strip() for reason in NOT_COMPUTED.values())
    assert len(COMPUTED) >= 180
