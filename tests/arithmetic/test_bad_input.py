"""Every function refuses values outside of its domain. Oracle: the message names the value, the limit and a remedy."""

import math

import pytest

from course_lib import arithmetic as a
from course_lib.catalog import CatalogError, gpt_config

ALPHA_BETA = {"alpha_seconds": 1e-5, "beta_seconds_per_byte": 1e-10}
RUN = ("llama3-8b", 1e9, "p5.48xlarge")

# (call, words that the message must hold)
REFUSED = {
    "cluster of nothing": (lambda: a.custom_cluster("h100", 0), ["devices=0", "at least 1"]),
    "no instance": (lambda: a.instance_cluster("p5.48xlarge", 0), ["instances=0", "at least 1"]),
    "plan without batch": (lambda: a.plan("gpt2", a.custom_cluster("h100", 8), 0), ["global_batch=0", "at least 1"]),
    "layout too small": (
        lambda: a.predict("gpt2", a.custom_cluster("h100", 8), a.Layout(data_parallel=4), 8),
        ["4 devices", "has 8"],
    ),
    "experts that ranks can't share": (
        lambda: a.expert_exchange(tokens=8, experts_per_token=2, hidden_size=4, experts=6, ranks=4),
        ["experts=6", "4 ranks", "divisor"],
    ),
    "rows that are no square": (
        lambda: a.expert_exchange_of([[1, 2], [3]], hidden_size=4, experts=4),
        ["rows=1", "must be 2", "square"],
    ),
    "negative tokens": (lambda: a.training_flops("gpt2", -1), ["tokens=-1", "0 or more"]),
    "tokens not a number": (lambda: a.training_flops("gpt2", math.nan), ["tokens=nan", "finite"]),
    "unknown method": (lambda: a.training_flops("gpt2", 1, method="6n"), ["method='6n'", "'exact'"]),
    "unknown recomputation": (lambda: a.training_flops("gpt2", 1, recomputation="some"), ["'some'", "'selective'"]),
    "no sequence": (lambda: a.training_flops("gpt2", 1, sequence_length=0), ["sequence_length=0", "at least 1"]),
    "sequence not whole": (lambda: a.training_flops("gpt2", 1, sequence_length=1.5), ["sequence_length=1.5", "whole"]),
    "selective 6ND": (
        lambda: a.training_flops("gpt2", 1, recomputation="selective"),
        ["'selective'", "method='exact'"],
    ),
    "bare count, exact": (lambda: a.training_flops(7e9, 1, method="exact"), ["7000000000", "ModelConfig"]),
    "negative parameters": (lambda: a.training_flops(-7e9, 1), ["-7000000000", "above 0"]),
    "config of no kind": (lambda: a.count_parameters(None), ["config=None", "model("]),
    "closed form, gated": (lambda: a.training_flops("llama3-8b", 1, method="korthikanti"), ["llama3-8b", "exact"]),
    "exact, two stacks": (lambda: a.training_flops("t5-base", 1, method="exact"), ["t5-base", "6nd"]),
    "unknown attention": (
        lambda: a.training_flops("gpt2", 1, method="exact", attention="half"),
        ["'half'", "'causal'"],
    ),
    "generating encoder": (lambda: a.inference_flops("bert-base", 10), ["bert-base", "decoder"]),
    "no prompt": (lambda: a.inference_flops("gpt2", 0), ["prompt_tokens=0"]),
    "ZeRO 5": (lambda: a.training_memory("gpt2", zero_stage=5), ["zero_stage=5", "3"]),
    "ZeRO True": (lambda: a.model_states(1e9, zero_stage=True), ["zero_stage=True"]),
    "no data parallelism": (lambda: a.model_states(1e9, data_parallel=0), ["data_parallel=0", "at least 1"]),
    "negative bytes": (lambda: a.model_states(1e9, optimizer_bytes=-1), ["optimizer_bytes=-1"]),
    "heads not divided": (
        lambda: a.training_memory("gpt2", tensor_parallel=5),
        ["tensor_parallel=5", "12 heads", "1, 2, 3, 4, 6, 12"],
    ),
    "stages over layers": (
        lambda: a.training_memory("gpt2", pipeline_parallel=13),
        ["pipeline_parallel=13", "12 layers"],
    ),
    "experts not divided": (
        lambda: a.model_states("mixtral-8x7b", data_parallel=3, expert_parallel=3),
        ["expert_parallel=3", "experts=8"],
    ),
    "experts of a dense model": (
        lambda: a.model_states("gpt2", data_parallel=2, expert_parallel=2),
        ["expert_parallel=2", "dense"],
    ),
    "no device memory": (lambda: a.largest_model_parameters(0), ["device_bytes=0"]),
    "no microbatch": (lambda: a.layer_activations("gpt2", microbatch=0), ["microbatch=0"]),
    "zero intensity": (lambda: a.roofline("h100", 0), ["arithmetic_intensity=0", "matmul_intensity"]),
    "chip of no kind": (lambda: a.roofline(100, 1.0), ["accelerator=100", "'h100'"]),
    "no rows": (lambda: a.matmul_intensity(0, 1, 1), ["m=0"]),
    "unknown phase": (lambda: a.transformer_operations("gpt2", "finetune"), ["'finetune'", "'decode'"]),
    "MFU in percent": (lambda: a.run_cost(*RUN, mfu=40), ["mfu=40", "at most 1", "write 0.4 for 40 %"]),
    "MFU of 100 percent": (lambda: a.run_cost(*RUN, mfu=100), ["mfu=100", "write 1 for 100 %"]),
    "MFU of 1.5": (lambda: a.run_cost(*RUN, mfu=1.5), ["mfu=1.5", "write 0.015 for 1.5 %"]),
    "MFU below zero": (lambda: a.run_cost(*RUN, mfu=-0.4), ["mfu=-0.4", "a share such as 0.4"]),
    "MFU beyond percent": (lambda: a.run_cost(*RUN, mfu=101), ["mfu=101", "a share such as 0.4"]),
    "MFU of zero": (lambda: a.run_cost(*RUN, mfu=0), ["mfu=0", "above 0"]),
    "no tokens": (lambda: a.run_cost("llama3-8b", 0, "p5.48xlarge"), ["tokens=0"]),
    "no instances": (lambda: a.run_cost(*RUN, instances=0), ["instances=0"]),
    "instance of no kind": (lambda: a.run_cost("llama3-8b", 1e9, 8), ["instance=8", "p5.48xlarge"]),
    "negative price": (lambda: a.run_cost(*RUN, usd_per_hour=-1.0), ["usd_per_hour=-1.0"]),
    "unknown price": (
        lambda: a.run_cost("gpt2", 1e9, "trn1.32xlarge", purchase="spot"),
        ["trn1.32xlarge", "usd_per_hour="],
    ),
    "no peak": (lambda: a.mfu(1e12, 1), ["exactly one", "accelerator='h100'"]),
    "two peaks": (lambda: a.mfu(1e12, 1, accelerator="h100", peak_flops_per_s=1e12), ["exactly one"]),
    "faster than the peak": (lambda: a.hfu(1e18, 1, 8, accelerator="h100"), ["126 times", "units"]),
    "no time": (lambda: a.mfu(1e12, 0, accelerator="h100"), ["seconds=0"]),
    "unknown schedule": (lambda: a.pipeline_bubble(4, 8, "2f2b"), ["'2f2b'", "'1f1b'"]),
    "interleaved without chunks": (lambda: a.pipeline_bubble(4, 8, "interleaved"), ["virtual_stages=1", "2 or more"]),
    "chunks without interleaving": (lambda: a.pipeline_bubble(4, 8, "1f1b", 2), ["virtual_stages=2", "exactly 1"]),
    "interleaved remainder": (lambda: a.pipeline_bubble(4, 9, "interleaved", 2), ["microbatches=9", "use 12"]),
    "odd dualpipe": (lambda: a.pipeline_bubble(5, 8, "dualpipe"), ["stages=5", "use 6"]),
    "W over B": (lambda: a.pipeline_bubble(4, 8, weight_seconds=3), ["weight_seconds=3", "backward_seconds=2.0"]),
    "no forward": (lambda: a.pipeline_bubble(4, 8, forward_seconds=0), ["forward_seconds=0"]),
    "unknown collective": (lambda: a.collective_time("gossip", 1, 2, **ALPHA_BETA), ["'gossip'", "'all_reduce'"]),
    "wrong algorithm": (
        lambda: a.collective_time("broadcast", 1, 2, algorithm="ring", **ALPHA_BETA),
        ["'ring'", "'binomial'"],
    ),
    "odd doubling": (
        lambda: a.collective_time("all_reduce", 1, 6, algorithm="rabenseifner", **ALPHA_BETA),
        ["ranks=6", "ring"],
    ),
    "negative bytes sent": (lambda: a.collective_time("all_reduce", -1, 2, **ALPHA_BETA), ["bytes_=-1"]),
    "no ranks": (lambda: a.bus_bandwidth_factor("all_reduce", 0), ["ranks=0"]),
    "broadcast in the network": (
        lambda: a.bus_bandwidth_factor("broadcast", 8, in_network=True),
        ["broadcast", "all_reduce"],
    ),
    "instant checkpoint": (lambda: a.checkpoint_interval(0, 100), ["checkpoint_seconds=0"]),
    "unknown interval": (lambda: a.checkpoint_interval(1, 100, "old"), ["'old'", "'daly'"]),
    "never ends": (lambda: a.time_per_useful_time(1e6, 1, 1.0), ["mtbf_seconds=1.0", "never ends"]),
    "less than useful": (lambda: a.spot_break_even(0.9), ["time_per_useful=0.9"]),
    "no cluster": (lambda: a.world_size(tensor_parallel=0), ["tensor_parallel=0"]),
    "no sequences": (
        lambda: a.tokens_per_step(data_parallel=1, sequences_per_replica=0, sequence_length=1),
        ["sequences_per_replica=0"],
    ),
    "no step": (lambda: a.tokens_per_second(1, 1, 0), ["step_seconds=0"]),
    "no rate": (lambda: a.seconds_for_tokens(1, 0), ["tokens_per_s=0"]),
    "no reference": (lambda: a.saving(1, 0), ["reference_price=0"]),
    "negative hours": (lambda: a.cost_usd(-1, 2), ["accelerator_hours=-1"]),
    "no speed": (lambda: a.throughput_gain(0, 1), ["seconds_before=0"]),
    "more causes than failures": (lambda: a.failure_share(5, 4), ["count=5", "total=4"]),
    "no failure rate": (lambda: a.mean_seconds_between_failures(8, failures_per_1000_node_days=0), ["=0"]),
    "rank zero": (lambda: a.low_rank_compression(4, 4, 0), ["rank=0"]),
    "nothing to send": (lambda: a.model_compression([], 0, 1), ["elements=0"]),
    "negative cache": (lambda: a.kv_cache_bytes("gpt2", -1), ["tokens=-1"]),
    "no hours": (lambda: a.accelerator_hours(1e12, 0), ["hours_per_trillion_tokens=0"]),
    "no machines": (lambda: a.aggregate_flops_per_s(1e12, 0), ["accelerators=0"]),
    "no work": (lambda: a.flops_per_s_per_accelerator(0, 1), ["flops=0"]),
    "no training": (lambda: a.training_seconds(-1, 8, 1e12), ["flops=-1"]),
    "half a machine": (lambda: a.wall_seconds(10, 0.5), ["accelerators=0.5", "whole"]),
    "no log": (lambda: a.observed_seconds_between_failures(3, 0), ["seconds=0"]),
    "no inputs": (lambda: a.best_buckets({}, 2), ["counts={}", "no inputs"]),
    "no buckets": (lambda: a.best_buckets({7: 1}, 0), ["buckets=0", "at least 1"]),
    "work that falls": (lambda: a.best_buckets({1: 1, 2: 1}, 1, work=lambda n: 9 - n), ["falls from length 1 to 2"]),
    "an input without a bucket": (lambda: a.padding_waste({7: 1}, [4]), ["length=7", "longest bucket, 4", "cut"]),
    "buckets of nothing": (lambda: a.padding_waste({7: 1}, []), ["buckets=[]"]),
    "work of nothing": (lambda: a.padding_waste({7: 1}, [8], work=lambda n: 0), ["work=0"]),
    "no longest input": (lambda: a.powers_of_two(0), ["longest=0"]),
    "negative graphs": (lambda: a.compile_bill(-1, 60, 20), ["graphs=-1"]),
    "nobody compiles": (lambda: a.compile_bill(1, 60, 20, workers=0), ["workers=0"]),
    "an empty batch": (lambda: a.longest_of({7: 1}, 0), ["batch=0"]),
    "no steps": (lambda: a.expected_shapes({7: 1.0}, 0), ["steps=0"]),
    "counts for probabilities": (lambda: a.expected_shapes({7: 30}, 5), ["probability=30", "0.3"]),
    "more visits than sense": (lambda: a.distinct_experts(8, 0, 1), ["experts_per_token=0"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_value_outside_of_the_domain_is_refused_with_its_limit_and_a_remedy(case):
    """Oracle: ArithmeticInputError, a ValueError, whose one-line message holds the value and what to write instead."""
    call, words = REFUSED[case]
    with pytest.raises(a.ArithmeticInputError) as caught:
        call()
    message = str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert "Remedy: " in message
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


# Those that only read a shape, a row, or another function's result; the planner's other refusals are in planner/.
NO_DOMAIN = {"weight_matmuls", "attention_core_flops", "compare_run", "efficiency_of", "winner"}

# (call, words) for names that the catalog refuses
UNKNOWN = {
    "model": (lambda: a.count_parameters("llama3-9b"), ["llama3-9b", "llama3-8b"]),
    "accelerator": (lambda: a.roofline("h1000", 1.0), ["h1000", "h100"]),
    "instance": (lambda: a.run_cost("gpt2", 1e9, "p5.47xlarge"), ["p5.47xlarge", "p5.48xlarge"]),
    "dtype": (lambda: a.roofline("v100-16gb", 1.0, "bf16"), ["bf16", "fp16"]),
    "purchase": (lambda: a.run_cost(*RUN, purchase="lease"), ["lease", "on_demand"]),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_an_unknown_name_is_refused_by_the_catalog_with_known_ones(case):
    """Oracle: CatalogError, a ValueError, that names what exists."""
    call, words = UNKNOWN[case]
    with pytest.raises(CatalogError) as caught:
        call()
    assert isinstance(caught.value, ValueError)
    assert [word for word in words if word not in str(caught.value)] == []


def test_every_public_function_is_among_the_refusals():
    """Oracle: __all__; a new function needs a case above."""
    import inspect

    source = inspect.getsource(inspect.getmodule(test_every_public_function_is_among_the_refusals))
    functions = {name for name in a.__all__ if inspect.isfunction(getattr(a, name))}
    assert {f for f in functions if f"a.{f}(" not in source} == NO_DOMAIN


def test_a_shape_that_contradicts_itself_is_refused():
    """Oracle: five heads do not divide 12."""
    with pytest.raises(ValueError, match=r"heads=5 does not divide hidden_size=12"):
        gpt_config(hidden_size=12, layers=1, heads=5)


def test_importing_the_formulas_is_light():
    """Oracle: a fresh interpreter's module list and processor time (a busy machine stretches wall time)."""
    import subprocess
    import sys

    code = (
        "import sys, time; t = time.process_time(); import course_lib.arithmetic; "
        "print(time.process_time() - t, *{'torch', 'pandas', 'transformers', 'numpy'} & set(sys.modules))"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    assert all(len(run.stdout.split()) == 1 for run in runs)
    assert min(float(run.stdout) for run in runs) < 0.4
