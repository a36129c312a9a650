"""Experts on disk. Oracle: the same model with all experts in memory; a brute-force cache for the hit rates."""

import threading

import pytest
import torch

from course_lib.moe import MoEError, moe_layers
from course_lib.moe.inference import generate, offload
from course_lib.moe.inference.expert_cache import LayerHits, LeastFrequentlyUsed
from tests.moe.inference.small_models import dense, mixture, tokens


@pytest.fixture
def model():
    return mixture(experts=16, first_dense_layers=1)


@pytest.mark.parametrize("prefetch", [None, "router", "coactivation"])
@pytest.mark.parametrize("policy", ["lru", "lfu"])
@pytest.mark.parametrize("capacity", [1, 2, 8, 1000])
def test_text_and_logits_are_those_of_the_model_in_memory(model, tmp_path, capacity, policy, prefetch):
    """Oracle: the model before it was offloaded; bit for bit where a token's experts fit at once."""
    x = tokens(2, 10)
    with torch.no_grad():
        full = model(x)
    text = generate(model, [1, 2, 3], 12)
    with offload(model, tmp_path, capacity=capacity, policy=policy, prefetch=prefetch, keep=True) as offloaded:
        assert generate(model, [1, 2, 3], 12) == text
        with torch.no_grad():
            torch.testing.assert_close(model(x), full, atol=1e-5, rtol=1e-5)
        assert all(hit.asked == hit.hits + hit.waited + _misses(hit) for hit in offloaded.hits())
    assert generate(model, [1, 2, 3], 12) == text
    assert not any(thread.name.startswith("expert") for thread in threading.enumerate())


def _misses(hit):
    return hit.asked - hit.hits - hit.waited


@pytest.mark.parametrize("policy", ["lru", "lfu"])
def test_hits_are_those_of_a_cache_simulated_on_the_same_choices(model, tmp_path, policy):
    """Oracle: a list of keys, sorted anew for each miss."""
    asked = []
    for layer in moe_layers(model):
        layer.router.register_forward_hook(
            lambda router, inputs, routing, n=layer.number: asked.append((n, routing.experts[0].tolist()))
        )
    with offload(model, tmp_path, capacity=9, policy=policy) as offloaded:
        generate(model, [1], 30)
        hits = {hit.layer: hit.hits for hit in offloaded.hits()}
    simulated = dict.fromkeys(hits, 0)
    inside, uses, last, clock = [], {}, {}, 0
    for layer, experts in asked:
        keys = [(layer, expert) for expert in experts]
        safe = [key for key in keys if key in inside]
        for key in keys:
            clock += 1
            uses[key], last[key] = uses.get(key, 0) + 1, clock
            if key in safe:
                simulated[layer] += 1
                continue
            if len(inside) == 9:
                movable = [other for other in inside if other not in safe]
                inside.remove(min(movable, key=lambda o: (uses[o] if policy == "lfu" else 0, last[o])))
            inside.append(key)
            safe.append(key)
    assert hits == simulated
    assert 0 < sum(hits.values()) < len(asked) * 2


def test_a_perfect_prediction_turns_misses_into_hits(model, tmp_path):
    """Oracle: a model whose layers route alike, so that the next router's guess is right by construction."""
    first, second = moe_layers(model)
    with torch.no_grad():
        second.router.weight.copy_(first.router.weight)
        for block in model.layers.values():
            block.attention.wo.weight.zero_()
            block.ffn_norm.weight.fill_(1.0)
        for layer in (first, second):
            layer.experts.down.zero_()
    with offload(model, tmp_path, capacity=6, prefetch="router") as offloaded:
        # a busy machine may not let the thread run in time: the second layer waits for it here
        second.router.register_forward_pre_hook(lambda router, inputs: offloaded.cache.wait_until_idle())
        for token in range(100, 120):
            generate(model, [token], 1)
        last = offloaded.hits()[1]
        assert last.hits == last.asked
        assert last.ahead > last.asked / 2


def test_a_capacity_in_bytes_is_as_many_experts_as_fit(model, tmp_path):
    """Oracle: bytes of one expert."""
    experts = moe_layers(model)[0].experts
    one = (experts.up[0].numel() + experts.down[0].numel()) * 4
    with offload(model, tmp_path, capacity_bytes=3 * one + one // 2, keep=True) as offloaded:
        assert offloaded.cache.capacity == 3
    with pytest.raises(MoEError, match="capacity_bytes"):
        offload(model, tmp_path, capacity_bytes=one - 1)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"capacity": 0}, "capacity=0"),
        ({}, "must be given once"),
        ({"capacity": 2, "policy": "fifo"}, "policy='fifo' is not known"),
        ({"capacity": 2, "prefetch": "oracle"}, "prefetch='oracle' is not known"),
    ],
    ids=["capacity-0", "no-capacity", "policy", "predictor"],
)
def test_bad_settings_are_refused_before_anything_is_written(model, tmp_path, options, told):
    """Oracle: an empty folder, and the model's own text."""
    text = generate(model, [1], 4)
    with pytest.raises(MoEError, match=told):
        offload(model, tmp_path, **options)
    assert list(tmp_path.iterdir()) == []
    assert generate(model, [1], 4) == text


def test_a_dense_model_has_nothing_to_offload(tmp_path):
    """Oracle: the model's shape."""
    with pytest.raises(MoEError, match="can't be moved to disk"):
        offload(dense(), tmp_path, capacity=2)


@pytest.mark.parametrize("prefetch", [None, "router"])
def test_a_file_cut_off_while_in_use_is_an_error_that_names_it(model, tmp_path, prefetch):
    """Oracle: which file was cut."""
    with offload(model, tmp_path, capacity=2, prefetch=prefetch, keep=True) as offloaded:
        broken = tmp_path / "layer-002.safetensors"
        with broken.open("r+b") as file:
            file.truncate(5000)
        with pytest.raises(MoEError, match=r"layer-002.safetensors.* ended while expert"):
            generate(model, list(range(40)), 4)
        for _ in range(2):  # what could not be read is not taken for read the next time
            with pytest.raises(MoEError, match="ended while expert 15"), offloaded.cache.using(2, [15]):
                pass
    assert len(generate(model, [1], 4)) == 4


def test_forgotten_counts_are_all_0_and_memory_stays(model, tmp_path):
    """Oracle: a new report beside one that has counted; with room for all, what was read is hit again."""
    with offload(model, tmp_path, capacity=1000, keep=True) as offloaded:
        generate(model, [1, 2], 3)
        assert all(hits.asked and hits.bytes_read for hits in offloaded.hits())
        offloaded.cache.forget_counts()
        assert offloaded.hits() == [LayerHits(hits.layer) for hits in offloaded.hits()]
        generate(model, [1, 2], 3)
        assert [(hits.hit_rate, hits.bytes_read) for hits in offloaded.hits()] == [(1.0, 0)] * len(offloaded.hits())


def test_the_least_frequent_leaves_and_old_counts_fade():
    """Oracle: counts by hand: 4 uses, halved twice to 1, are fewer than 2 uses since the last halving."""
    policy = LeastFrequentlyUsed(halve_every=4)
    old, new = (0, 1), (0, 2)
    for key in (old, old, old, old):  # 4 uses, halved to 2
        policy.used(key)
    policy.used(new)
    assert policy.victim([old, new]) == new
    for key in (new, (0, 3), (0, 3)):  # all halved again: old 1, new 1, the other 1
        policy.used(key)
    policy.used(new)  # old 1, new 2
    assert policy.victim([old, new]) == old


def test_a_model_whose_experts_were_given_back_says_so(tmp_path):
    """Oracle: the files are closed, and no experts were kept."""
    given_back = mixture()
    offload(given_back, tmp_path, capacity=2).restore()
    with pytest.raises(MoEError, match=r"layer-000.safetensors.* is closed.*offload\(model, folder\)"):
        generate(given_back, [1], 4)


def test_missing_and_foreign_files_are_refused(model, tmp_path):
    """Oracle: what lies there."""
    from course_lib.moe.inference.expert_cache import ExpertFile, write_experts

    path = tmp_path / "layer.safetensors"
    with pytest.raises(MoEError, match="can't be opened"):
        ExpertFile(path, 16)
    path.write_bytes(b"short")
    with pytest.raises(MoEError, match="cut off within its header"):
        ExpertFile(path, 16)
    path.write_bytes((20).to_bytes(8, "little") + b"x" * 20)
    with pytest.raises(MoEError, match="no JSON"):
        ExpertFile(path, 16)
    write_experts(moe_layers(model)[0].experts, path)
    with pytest.raises(MoEError, match=r"lacks tensor '16.up'"):
        ExpertFile(path, 17)
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(MoEError, match="is cut off"):
        ExpertFile(path, 16)
