"""The layer compiled, and with activations recomputed. Oracle: the same layer, eager, with all of them kept."""

import pytest
import torch

from course_lib.distributed import apply_recomputation
from course_lib.models import language_model_loss
from course_lib.moe import MoEConfig, MoELayer, MoEModel, moe_config, moe_layers

SHAPE = {"hidden_size": 16, "expert_hidden_size": 24}


def gradients(module, run, x):
    module.zero_grad()
    seen = x.clone().requires_grad_()
    out = run(seen)
    out.backward(x.flip(0))
    return [out, seen.grad, *(parameter.grad for parameter in module.parameters())]


@pytest.mark.slow
@pytest.mark.parametrize("capacity_factor", [None, 1.0])
def test_one_graph_computes_what_the_eager_layer_does(capacity_factor):
    """Oracle: the eager layer; fullgraph=True raises where compilation would fall back to it."""
    layer = MoELayer(MoEConfig(**SHAPE, shared_experts=1, capacity_factor=capacity_factor))
    compiled = torch.compile(layer, fullgraph=True)
    for tokens in (12, 30):
        x = torch.randn(tokens, 16)
        for ours, expected in zip(gradients(layer, compiled, x), gradients(layer, layer, x), strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), layer(x), rtol=1e-5, atol=1e-6)


def loss_and_gradients(model, tokens):
    loss = language_model_loss(model(tokens), tokens.roll(-1, 1))
    loss = loss + torch.stack([layer.auxiliary_loss() for layer in moe_layers(model)]).sum()
    loss.backward()
    return [loss.detach(), *(parameter.grad for parameter in model.parameters())]


def two_models(mode="full"):
    shape = moe_config(layers=2, hidden_size=16, heads=2, vocab_size=32)
    plain, recomputed = (MoEModel(shape, MoEConfig.of(shape, balance_loss=0.01)) for _ in range(2))
    apply_recomputation(recomputed, mode)
    return plain, recomputed


@pytest.mark.parametrize("mode", ["selective", "full"])
def test_recomputation_leaves_the_gradients_of_a_mixture_as_they_are(mode):
    """Oracle: the same model without recomputation, the balance loss included."""
    tokens = torch.randint(0, 32, (2, 9), generator=torch.Generator().manual_seed(0))
    plain, recomputed = (loss_and_gradients(model, tokens) for model in two_models(mode))
    for ours, expected in zip(recomputed, plain, strict=True):
        assert torch.equal(ours, expected)


def test_a_second_pass_keeps_the_choices_of_the_first_even_where_it_would_choose_otherwise():
    """Oracle: the first pass; the second sees logits of the other sign, as far from its rounding as can be."""
    model = two_models()[1]
    router = moe_layers(model)[0].router
    chosen = []
    router.register_forward_hook(lambda _module, _args, routing: chosen.append(routing.experts))
    router.register_forward_pre_hook(lambda _module, args: (args[0] * (-1.0 if chosen else 1.0), *args[1:]))
    language_model_loss(model(torch.arange(16).view(2, 8)), torch.arange(16).view(2, 8)).backward()
    assert len(chosen) == 2
    assert torch.equal(*chosen)


@pytest.mark.slow
def test_compiled_and_recomputed_blocks_keep_the_gradients_of_the_eager_model():
    """Oracle: the eager model without either."""
    from course_lib.distributed.recompute import apply_compile

    tokens = torch.randint(0, 32, (2, 9), generator=torch.Generator().manual_seed(0))
    plain, other = two_models()
    apply_compile(other)
    for ours, expected in zip(loss_and_gradients(other, tokens), loss_and_gradients(plain, tokens), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-6)
