"""The search. Oracle: brute force over the same layouts with `predict`, written here, and the rules of the papers."""

import re
from itertools import product

import pytest

from course_lib.arithmetic import (
    ArithmeticInputError,
    InfeasibleError,
    Layout,
    custom_cluster,
    instance_cluster,
    plan,
    predict,
    winner,
)
from course_lib.arithmetic.planner.sweep import OUT_OF_MEMORY, REPEATS, TOO_SLOW
from course_lib.catalog import ModelConfig, gpt_config

SHAPE = gpt_config(hidden_size=2048, layers=24, heads=16)
EIGHT = custom_cluster("a100-40gb", 8, network_gbit_per_s_per_node=400)


def brute_force(shape, cluster, batch, *, fits_only=True):
    """Every power-of-two layout that `predict` accepts, fastest first."""
    degrees = [1, 2, 4, 8]
    found = []
    for t, p, c, stage, v, schedule, microbatch, recomputation in product(
        degrees, degrees, degrees, range(4), (1, 2, 3, 4, 6, 8), ("1f1b", "gpipe", "interleaved", "zb1p"),
        (1, 2, 4, 8, 16), ("none", "selective", "full"),
    ):  # fmt: skip
        if cluster.devices % (t * p * c) or (p == 1 and schedule != "1f1b") or shape.context_length / c < 1024:
            continue
        d = cluster.devices // (t * p * c)
        equal = any((shape.layers + ends) % (p * v) == 0 for ends in (0, 1, 2))
        if not (equal or (v == 1 and shape.layers >= 2 * p)) or (d * c == 1 and stage):
            continue
        layout = Layout(
            tensor_parallel=t, pipeline_parallel=p, context_parallel=c, data_parallel=d, zero_stage=stage,
            schedule=schedule, virtual_stages=v, microbatch=microbatch, recomputation=recomputation,
            sequence_parallel=t > 1,
        )  # fmt: skip
        try:
            one = predict(shape, cluster, layout, batch)
        except ArithmeticInputError:
            continue
        if one.fits or not fits_only:
            found.append(one)
    return sorted(found, key=lambda one: (one.time.seconds, one.memory.total_bytes))


def test_the_best_plan_is_the_best_of_all_layouts():
    """Oracle: brute force; the pruning may not lose the winner."""
    expected = brute_force(SHAPE, EIGHT, 32)
    found = plan(SHAPE, EIGHT, 32, top=5)
    assert len(expected) > 100
    assert found.best[0].time.seconds == pytest.approx(expected[0].time.seconds)
    assert found.best[0].memory.total_bytes <= expected[0].memory.total_bytes * (1 + 1e-12)
    assert [one.time.seconds for one in found.best] == sorted(one.time.seconds for one in found.best)


def test_the_ranking_is_the_same_each_time_and_a_longer_list_begins_with_the_shorter():
    """Oracle: equality of two searches."""
    one, again = plan(SHAPE, EIGHT, 32, top=8), plan(SHAPE, EIGHT, 32, top=8)
    assert one == again
    assert plan(SHAPE, EIGHT, 32, top=3).best == one.best[:3]


@pytest.mark.parametrize(
    ("model", "fixed"),
    [("llama3-70b", {}), ("mixtral-8x7b", {}), ("mixtral-8x7b", {"shard": 8}), ("megatron-39.1b", {"pp": 8})],
)
def test_every_plan_is_what_predict_says_of_its_layout(model, fixed):
    """Oracle: predict, for all of the best."""
    cluster, given = instance_cluster("p5.48xlarge", 8), {"sequence_length": 2048, "tokens": 1e12}
    found = plan(model, cluster, 128, fixed=fixed, software="llama3", top=30, **given)
    for one in found.best:
        assert one == predict(model, cluster, one.layout, 128, software="llama3", **given)
        assert one.fits


def test_a_stack_that_no_number_of_stages_divides_is_planned_with_uneven_stages():
    """Oracle: 105 layers on 16 stages: the fullest has 7, as ceil(105 / 16) says, and sets the pace."""
    cluster = instance_cluster("p5.48xlarge", 32)
    settled = {"tp": 8, "microbatch": 1, "recompute": "full", "zero": 1, "schedule": "1f1b"}
    sixteen = plan("megatron-529.6b", cluster, 512, fixed={**settled, "pp": 16}).best[0].time
    thirty_two = plan("megatron-529.6b", cluster, 512, fixed={**settled, "pp": 32}).best[0].time
    each = [time.compute_seconds / time.microbatches for time in (sixteen, thirty_two)]
    assert each[0] / each[1] == pytest.approx(7 / 4, rel=0.01)  # ceil(105 / 32) = 4


def test_a_thousand_devices_keep_to_the_rules():
    """Oracle: whole heads, whole layers, a batch that divides, tensor parallelism inside of a node of 8."""
    found = plan("llama3-70b", instance_cluster("p5.48xlarge", 128), 1024, top=50)
    assert len(found.best) == 50
    for one in found.best:
        layout = one.layout
        assert layout.devices == 1024
        assert layout.tensor_parallel <= 8
        assert 1024 % (layout.data_parallel * layout.microbatch) == 0
        chunks = layout.pipeline_parallel * layout.virtual_stages
        equal = any((80 + ends) % chunks == 0 for ends in (0, 1, 2))
        assert equal or (layout.virtual_stages == 1 and chunks <= 40)
        assert one.memory.total_bytes <= 80e9
    assert found.considered > 10_000
    assert found.dropped["out of memory"] > 0
    assert found.dropped["tensor parallelism would leave its node"] > 0


@pytest.mark.parametrize("model", ["llama3-70b", "mixtral-8x7b"])
def test_every_layout_considered_is_timed_or_dropped_for_a_reason(model):
    """Oracle: addition."""
    found = plan(model, instance_cluster("p5.48xlarge", 8), 128, sequence_length=4096)
    reasons = (OUT_OF_MEMORY, TOO_SLOW, REPEATS)
    assert found.considered == found.timed + sum(found.dropped.get(reason, 0) for reason in reasons)
    assert found.dropped[REPEATS] > 0


def test_replicas_divide_the_batch():
    """Oracle: 48 sequences on 64 devices: never 32 or 64 replicas."""
    found = plan("llama3-8b", instance_cluster("p5.48xlarge", 8), 48, sequence_length=4096, top=100)
    assert found.dropped["batch does not divide over the replicas"] > 0
    assert all(48 % (one.layout.data_parallel * one.layout.microbatch) == 0 for one in found.best)


def test_what_is_fixed_stays():
    """Oracle: the layout's own fields."""
    fixed = {"tp": 4, "pp": 2, "zero": 1, "schedule": "1f1b", "microbatch": 2, "recompute": "full"}
    for one in plan("llama3-8b", instance_cluster("p5.48xlarge", 4), 128, fixed=fixed).best:
        layout = one.layout
        assert (layout.tensor_parallel, layout.pipeline_parallel, layout.zero_stage) == (4, 2, 1)
        assert (layout.schedule, layout.microbatch, layout.recomputation) == ("1f1b", 2, "full")


def test_experts_are_shared_where_a_model_has_them():
    """Oracle: Mixtral's 141 billion parameters of 16 bytes on 32 chips of 80 GB leave no room for whole copies."""
    found = plan("mixtral-8x22b", instance_cluster("p5.48xlarge", 16), 256, sequence_length=4096, top=20)
    assert any(one.layout.expert_parallel > 1 for one in found.best)
    for one in found.best:
        assert 8 % one.layout.expert_parallel == 0
        assert one.layout.data_parallel % one.layout.expert_parallel == 0


def test_money_may_choose_another_cluster_than_time():
    """Oracle: a faster cluster at a hundred times the price."""
    fast = instance_cluster("p5.48xlarge", 2, usd_per_hour=5_000.0)
    slow = instance_cluster("p4de.24xlarge", 2, usd_per_hour=20.0)
    by_time = plan("llama3-8b", [fast, slow], 64, top=1).best[0]
    by_cost = plan("llama3-8b", [fast, slow], 64, top=1, by="cost").best[0]
    by_tokens = plan("llama3-8b", [slow, fast], 64, top=1, by="tokens-per-dollar").best[0]
    assert by_time.cluster == fast.name
    assert by_cost == by_tokens
    assert by_cost.cluster == slow.name
    assert by_cost.usd_per_step < by_time.usd_per_step


def test_tensor_parallelism_leaves_a_node_only_where_nothing_else_fits():
    """Oracle: one layer of 3 billion parameters, whole on each of four nodes of one chip, is 50 GB where 40 GB are."""
    shape = ModelConfig(name="wide", vocab_size=1024, hidden_size=16_384, layers=1, heads=64, context_length=2048)
    single = custom_cluster("a100-40gb", 4, devices_per_node=1, network_gbit_per_s_per_node=200)
    found = plan(shape, single, 4, fixed={"zero": 0, "cp": 1})
    assert found.best[0].layout.tensor_parallel > 1
    assert plan("gpt2", single, 4).best[0].layout.tensor_parallel == 1


def test_nothing_fits_says_how_much_is_missing_and_the_remedy_works():
    """Oracle: the remedy itself: planning with that many devices succeeds."""
    with pytest.raises(InfeasibleError) as caught:
        plan("llama3-405b", instance_cluster("p5.48xlarge", 4), 512, sequence_length=8192)
    message = str(caught.value)
    assert "GB are missing" in message
    assert "llama3-405b" in message
    assert "Remedy: take " in message
    devices = int(message.rpartition("take ")[2].split(" ")[0].replace(",", ""))
    assert plan("llama3-405b", instance_cluster("p5.48xlarge", devices // 8), 512, sequence_length=8192).best
    with pytest.raises(InfeasibleError):
        plan("llama3-405b", instance_cluster("p5.48xlarge", devices // 16), 512, sequence_length=8192)


def test_the_shortfall_named_is_the_smallest():
    """Oracle: brute force over layouts that do not fit."""
    cluster = custom_cluster("a100-40gb", 2)
    shape = gpt_config(hidden_size=8192, layers=24, heads=64)
    with pytest.raises(InfeasibleError) as caught:
        plan(shape, cluster, 2)
    least = min(one.memory.shortfall_bytes for one in brute_force(shape, cluster, 2, fits_only=False))
    assert caught.value.missing_bytes == pytest.approx(least)
    needs, of, missing = (
        float(re.search(pattern, str(caught.value))[1])
        for pattern in (r"needs ([\d.]+) GB", r"of ([\d.]+) GB", r"so ([\d.]+) GB are missing")
    )
    assert of == 40
    assert needs - of == pytest.approx(missing, abs=0.11)
    assert missing == pytest.approx(least / 1e9, abs=0.051)


def test_a_fixed_choice_that_costs_too_much_memory_is_named_in_the_remedy():
    """Oracle: the same search without the choice succeeds."""
    cluster = instance_cluster("p5.48xlarge", 4)
    with pytest.raises(InfeasibleError, match="recompute=full fits"):
        plan("llama3-70b", cluster, 64, fixed={"tp": 8, "pp": 4, "recompute": "none", "microbatch": 4})
    assert plan("llama3-70b", cluster, 64, fixed={"tp": 8, "pp": 4, "microbatch": 4}).best


@pytest.mark.parametrize(("model", "nodes"), [("llama3-70b", 128), ("llama3-8b", 8), ("mixtral-8x7b", 8)])
def test_the_winner_is_explained_by_the_parts_in_which_it_differs(model, nodes):
    """Oracle: the two plans' own parts: what the line calls less is less, and what it calls more is more."""
    found = plan(model, instance_cluster("p5.48xlarge", nodes), 1024, sequence_length=8192)
    line, (first, second) = winner(found), found.best[:2]
    assert "\n" not in line
    if line.startswith("Level"):
        assert second.time.seconds == pytest.approx(first.time.seconds, rel=6e-4)
        return
    assert line.startswith(f"{second.time.seconds / first.time.seconds - 1:.1%} faster")
    told = re.findall(r"(less|more) (?:exposed )?(\w+)", line)
    assert told[0][0] == "less"
    for word, part in told:
        mine, other = (_part(one.time, part) for one in (first, second))
        assert (mine < other) == (word == "less")


def _part(time, name):
    if name in time.communication:
        return time.communication[name].exposed_seconds
    if name == "compute":
        return time.compute_seconds - time.recompute_seconds
    return {
        "recomputation": time.recompute_seconds,
        "bubble": time.bubble_seconds,
        "optimizer": time.optimizer_seconds,
    }[name]


def test_of_equally_fast_plans_the_one_with_less_memory_comes_first():
    """Oracle: with one microbatch, ZeRO-2 sends what ZeRO-1 sends and keeps fewer gradients."""
    fixed = {"tp": 1, "pp": 1, "cp": 1, "microbatch": 1, "recompute": "none"}
    best = plan(SHAPE, EIGHT, 8, fixed=fixed, software="megatron").best
    stages = [one.layout.zero_stage for one in best]
    times = {one.layout.zero_stage: one.time.seconds for one in best}
    assert times[1] == times[2]
    assert stages.index(2) < stages.index(1)


@pytest.mark.parametrize("devices", [1, 2, 3, 4, 6, 7])
def test_odd_clusters_are_planned_too(devices):
    """Oracle: the product of the degrees."""
    cluster = custom_cluster("a100-80gb", devices)
    found = plan("gpt2", cluster, 2 * devices)
    assert found.best[0].layout.devices == devices
