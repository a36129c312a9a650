"""The planner refuses what cannot be. Oracle: the message names the value, the limit and a remedy."""

import math
from dataclasses import replace

import pytest

from course_lib.arithmetic import (
    SOFTWARE,
    Cluster,
    Efficiency,
    Layout,
    Reliability,
    Software,
    custom_cluster,
    efficiency_of,
    instance_cluster,
    plan,
    predict,
)
from course_lib.catalog import accelerator

NODE = custom_cluster("h100", 8)
CHIP = accelerator("h100")


def ask(batch=8, **layout):
    return predict("llama3-8b", NODE, Layout(**layout), batch)


REFUSED = {
    "no devices": (lambda: custom_cluster("h100", 0), ["devices=0", "at least 1"]),
    "half a device": (lambda: custom_cluster("h100", 2.5), ["devices=2.5", "whole"]),
    "half a node": (lambda: custom_cluster("h100", 12, network_gbit_per_s_per_node=1), ["devices=12", "use 16"]),
    "no network": (lambda: custom_cluster("h100", 16), ["network_bytes_per_s=0", "2 nodes"]),
    "negative network": (lambda: custom_cluster("h100", 16, network_gbit_per_s_per_node=-1), ["-1", "0 or more"]),
    "network nan": (lambda: custom_cluster("h100", 16, network_gbit_per_s_per_node=math.nan), ["nan", "finite"]),
    "no link": (lambda: Cluster("x", CHIP, 8, 8, 0.0, 0.0), ["link_bytes_per_s=0", "above 0"]),
    "free nodes": (lambda: custom_cluster("h100", 8, usd_per_node_hour=0.0), ["usd_per_node_hour=0", "above 0"]),
    "no instances": (lambda: instance_cluster("p5.48xlarge", 0), ["instances=0"]),
    "unknown instance": (lambda: instance_cluster("p5.48xlrage"), ["p5.48xlarge"]),
    "unknown chip": (lambda: custom_cluster("h1000", 8), ["h100"]),
    "unknown model": (lambda: plan("lama3-8b", NODE, 8), ["llama3-8b"]),
    "an encoder-decoder": (lambda: plan("t5-base", NODE, 8), ["t5-base", "decoder"]),
    "no cluster": (lambda: plan("llama3-8b", [], 8), ["at least one"]),
    "a cluster twice": (lambda: plan("llama3-8b", [NODE, NODE], 8), ["twice"]),
    "a name for a cluster": (lambda: plan("llama3-8b", "p5.48xlarge", 8), ["instance_cluster"]),
    "no batch": (lambda: plan("llama3-8b", NODE, 0), ["global_batch=0"]),
    "batch not whole": (lambda: plan("llama3-8b", NODE, 8.0), ["global_batch=8.0", "whole"]),
    "batch in words": (lambda: plan("llama3-8b", NODE, 8, batch_unit="words"), ["'words'", "'tokens'"]),
    "tokens that make no sequences": (
        lambda: plan("llama3-8b", NODE, 10_000, batch_unit="tokens"),
        ["10000", "8192", "use 8192"],
    ),
    "no sequence": (lambda: plan("llama3-8b", NODE, 8, sequence_length=0), ["sequence_length=0"]),
    "no run": (lambda: plan("llama3-8b", NODE, 8, tokens=0), ["tokens=0", "above 0"]),
    "ordered by luck": (lambda: plan("llama3-8b", NODE, 8, by="luck"), ["'luck'", "'cost'"]),
    "money without a price": (lambda: plan("llama3-8b", NODE, 8, by="cost"), ["'cost'", "usd_per_hour"]),
    "none shown": (lambda: plan("llama3-8b", NODE, 8, top=0), ["top=0"]),
    "unknown software": (lambda: plan("llama3-8b", NODE, 8, software="megatorn"), ["'megatorn'", "megatron"]),
    "unknown dtype": (lambda: plan("llama3-8b", NODE, 8, dtype="fp7"), ["'fp7'", "fp8"]),
    "a chip without a peak": (lambda: plan("gpt2", instance_cluster("g5.xlarge"), 8), ["a10g", "no peak"]),
    "fixing nothing known": (lambda: plan("llama3-8b", NODE, 8, fixed={"xp": 2}), ["'xp'", "tp"]),
    "fixing half": (lambda: plan("llama3-8b", NODE, 8, fixed={"tp": 0.5}), ["tp=0.5", "whole"]),
    "fixing ZeRO 4": (lambda: plan("llama3-8b", NODE, 8, fixed={"zero": 4}), ["zero_stage=4"]),
    "fixing a schedule": (lambda: plan("llama3-8b", NODE, 8, fixed={"schedule": "2f2b"}), ["'2f2b'", "'1f1b'"]),
    "fixing what divides nothing": (lambda: plan("llama3-8b", NODE, 8, fixed={"tp": 3}), ["tensor_parallel=3", "8"]),
    "too few devices": (lambda: ask(tensor_parallel=4), ["takes 4 devices", "has 8"]),
    "heads cut": (lambda: predict("llama3-8b", custom_cluster("h100", 3), Layout(tensor_parallel=3), 3), ["32 heads"]),
    "batch not divided": (lambda: ask(batch=9, data_parallel=8), ["global_batch=9", "use 16"]),
    "experts of none": (lambda: ask(data_parallel=8, expert_parallel=2), ["expert_parallel=2", "llama3-8b"]),
    "uneven shards": (lambda: ask(data_parallel=8, shard_parallel=3), ["shard_parallel=3", "data_parallel=8"]),
    "ZeRO 4": (lambda: ask(data_parallel=8, zero_stage=4), ["zero_stage=4"]),
    "no microbatch": (lambda: ask(data_parallel=8, microbatch=0), ["microbatch=0"]),
    "unknown schedule": (lambda: ask(pipeline_parallel=8, schedule="2f2b"), ["'2f2b'"]),
    "interleaved once": (lambda: ask(pipeline_parallel=8, schedule="interleaved"), ["virtual_stages=1"]),
    "more stages than layers": (
        lambda: predict("gpt2", custom_cluster("h100", 16, devices_per_node=16), Layout(pipeline_parallel=16), 16),
        ["pipeline_parallel=16", "12 layers"],
    ),
    "sequence not cut evenly": (
        lambda: predict("llama3-8b", NODE, Layout(context_parallel=8), 8, sequence_length=1001),
        ["context_parallel=8", "1001"],
    ),
    "a share in percent": (lambda: replace(efficiency_of(CHIP), matmul=64), ["matmul=64", "0.64"]),
    "more hidden than there is": (lambda: Software("x", hidden_tensor=1.5), ["hidden_tensor=1.5", "0 to 1"]),
    "no failures": (lambda: Reliability(failures_per_1000_node_days=0), ["failures_per_1000_node_days=0"]),
    "failures all the time": (
        lambda: predict("llama3-8b", NODE, Layout(data_parallel=8), 8, reliability=Reliability(1e12)),
        ["never ends"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_value_outside_of_its_domain_is_refused(case):
    """Oracle: value, limit and remedy in the message."""
    call, words = REFUSED[case]
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - two families of errors, told apart by their words
        call()
    message = str(caught.value)
    assert "Remedy: " in message
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_each_preset_says_where_it_comes_from():
    """Oracle: the field itself."""
    assert all(preset.source and preset.name == name for name, preset in SOFTWARE.items())
    assert isinstance(efficiency_of(CHIP), Efficiency)
