"""Perplexity and loads of a trained model, by domain. Oracle: torch's cross_entropy over all rows at once."""

import math

import pytest
import torch
import torch.nn.functional as F

from course_lib.models import GPT, tiny_config
from course_lib.moe import MoEConfig, MoEError, MoEModel, moe_config, moe_layers
from course_lib.moe.corpus import Windows
from course_lib.moe.evaluate import evaluate

SHAPE = moe_config(layers=2, hidden_size=32, vocab_size=40, experts=6, experts_per_token=2)


def windows(count=11, length=7, seed=0):
    drawn = torch.randint(40, (count, length + 1), generator=torch.Generator().manual_seed(seed))
    return Windows(drawn[:, :-1], drawn[:, 1:], torch.arange(count) % 3)


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_the_loss_is_cross_entropy_over_all_tokens(batch):
    model, text = MoEModel(SHAPE), windows()
    found = evaluate(model, text, batch=batch)
    with torch.no_grad():
        logits = model.eval()(text.tokens)
    assert found.loss == pytest.approx(float(F.cross_entropy(logits.flatten(0, 1), text.targets.flatten())), rel=1e-6)
    assert found.perplexity == pytest.approx(math.exp(found.loss))
    for domain, perplexity in enumerate(found.domain_perplexities):
        mine = text.domains == domain
        loss = F.cross_entropy(logits[mine].flatten(0, 1), text.targets[mine].flatten())
        assert math.log(perplexity) == pytest.approx(float(loss), rel=1e-6)
    assert found.tokens.tolist() == [28, 28, 21]


def test_loads_are_what_the_routers_chose():
    model, text = MoEModel(SHAPE), windows()
    loads = evaluate(model, text, batch=4).loads
    assert loads.shape == (2, 3, 6)
    model.eval()(text.tokens)
    for layer, load in zip(moe_layers(model), loads, strict=True):
        chosen = layer.last_routing.experts.reshape(11, 7, 2)
        for domain in range(3):
            assert load[domain].tolist() == chosen[text.domains == domain].flatten().bincount(minlength=6).tolist()
        assert torch.equal(load.sum(0), layer.last_routing.load())


def test_dropped_pairs_are_not_counted():
    """Oracle: the layer's own routing, in which -1 marks what found no room."""
    model, text = MoEModel(SHAPE, MoEConfig.of(SHAPE, capacity_factor=0.5)), windows()
    loads = evaluate(model, text, batch=64).loads
    kept = [int((layer.last_routing.experts >= 0).sum()) for layer in moe_layers(model)]
    assert loads.sum((1, 2)).tolist() == kept
    assert max(kept) < 2 * 77


def test_a_model_that_knows_nothing_is_as_perplexed_as_its_vocabulary_is_large():
    model = GPT(tiny_config(layers=1, vocab_size=40))
    torch.nn.init.zeros_(model.output.weight)
    found = evaluate(model, windows())
    assert found.perplexity == pytest.approx(40)
    assert found.load_variations == []
    assert found.loads.shape == (0, 3, 0)


def test_a_model_that_is_surely_wrong_has_infinite_perplexity_and_no_crash():
    model = GPT(tiny_config(layers=1, vocab_size=40))
    torch.nn.init.constant_(model.norm.weight, 1e6)
    assert evaluate(model, windows()).perplexity == math.inf


@pytest.mark.parametrize("training", [True, False])
def test_a_model_comes_back_in_the_mode_it_was_in_and_without_gradients(training):
    model = MoEModel(SHAPE, MoEConfig.of(SHAPE, router="noisy_topk")).train(training)
    first, second = evaluate(model, windows()), evaluate(model, windows())
    assert model.training is training
    assert first.loss == second.loss, "noise was on"
    assert all(parameter.grad is None for parameter in model.parameters())
    with pytest.raises(MoEError, match="batch=0 must be"):
        evaluate(model, windows(), batch=0)
