"""Counts of a whole text against counts made token by token from the routers' own decisions."""

from collections import Counter

import pytest
import torch

from course_lib.models import GPT, tiny_config
from course_lib.moe import MoEError, moe_layers
from course_lib.moe.analysis import collect, load_counts, save_counts
from course_lib.moe.corpus import Windows


def test_counts_are_those_of_a_loop_over_tokens(recorded, windows):
    """Oracle: plain Python over each window by itself."""
    _, model, _ = recorded
    counts = collect(model, windows, batch=3)
    by_token, by_domain, pairs, steps = Counter(), Counter(), Counter(), Counter()
    entropy = torch.zeros(2, dtype=torch.float64)
    with torch.no_grad():
        for row, domain in zip(windows.tokens, windows.domains.tolist(), strict=True):
            model.eval()(row[None])
            routings = [layer.last_routing for layer in moe_layers(model)]
            firsts = [r.probabilities.argmax(1).tolist() for r in routings]
            for number, r in enumerate(routings):
                entropy[number] -= (r.probabilities.double() * r.probabilities.double().log()).sum()
                for token, chosen in zip(row.tolist(), r.experts.tolist(), strict=True):
                    for e in chosen:
                        by_token[number, token, e] += 1
                        by_domain[number, domain, e] += 1
                        for other in chosen:
                            pairs[number, e, other] += 1
            for before, after in zip(*firsts, strict=True):
                steps[before, after] += 1
    assert counts.tokens == windows.tokens.numel()
    for found, expected in (
        (counts.token_loads, by_token),
        (counts.domain_loads, by_domain),
        (counts.pairs, pairs),
        (counts.steps[0], steps),
    ):
        assert int(found.sum()) == sum(expected.values())
        assert all(int(found[place]) == count for place, count in expected.items())
    assert torch.allclose(counts.entropy, entropy / counts.tokens)


def test_a_model_that_was_training_still_is(recorded, windows):
    _, model, _ = recorded
    model.train()
    collect(model, windows)
    assert model.training


def test_counts_come_back_from_their_file(recorded, windows, tmp_path):
    counts = collect(recorded[1], windows)
    save_counts(tmp_path, counts, ["one", "two"], [f"t{i}" for i in range(32)])
    named = load_counts(tmp_path)
    assert named.domains == ["one", "two"]
    assert named.vocabulary[5] == "t5"
    assert named.counts.tokens == counts.tokens
    assert torch.equal(named.counts.token_loads, counts.token_loads)
    assert load_counts(tmp_path / "none") is None


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "routing_counts.safetensors").write_bytes(b"not a file of tensors")
    with pytest.raises(MoEError, match=r"routing_counts\.safetensors"):
        load_counts(tmp_path)


def test_names_must_be_as_many_as_rows(recorded, windows, tmp_path):
    counts = collect(recorded[1], windows)
    with pytest.raises(MoEError, match="must name 2 domains"):
        save_counts(tmp_path, counts, ["one"], [])
    with pytest.raises(MoEError, match="32 entries"):
        save_counts(tmp_path, counts, ["one", "two"], ["a"])
    assert not list(tmp_path.iterdir())


def test_a_dense_model_and_no_text_are_refused(recorded, windows):
    with pytest.raises(MoEError, match="has no experts"):
        collect(GPT(tiny_config(vocab_size=32)), windows)
    empty = Windows(windows.tokens[:0], windows.targets[:0], windows.domains[:0])
    with pytest.raises(MoEError, match="are none"):
        collect(recorded[1], empty)
