"""LIMoE's losses. Oracle: the formulas in NumPy, and autograd of the whole written out by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.distributed import build_engine
from course_lib.moe import MoEError, moe_layers
from course_lib.moe.multimodal import EntropyLoss, global_entropy, image_text_engine, local_entropy
from tests.moe.multimodal.cases import GROUPS, config, some_rows


def numpy_entropy(p):
    logs = np.log(p, out=np.zeros_like(p), where=p > 0)
    return -(p * logs).sum(-1)


def probabilities(tokens, experts, seed, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(tokens, experts, generator=generator) * scale).double().softmax(-1)


@given(
    tokens=st.integers(1, 40),
    experts=st.integers(1, 9),
    seed=st.integers(0, 99),
    scale=st.sampled_from([0.0, 0.1, 2.0, 300.0]),
    at_least=st.sampled_from([0.0, 1.0, 2.5, 4.0]),
)
def test_losses_are_the_papers_formulas(tokens, experts, seed, scale, at_least):
    """Oracle: NumPy; scale 300 makes probabilities that are exactly 0 and 1."""
    p = probabilities(tokens, experts, seed, scale)
    n = p.numpy()
    np.testing.assert_allclose(float(local_entropy(p)), numpy_entropy(n).mean(), atol=1e-9)
    spread = numpy_entropy(n.mean(0))
    expected = max(0.0, math.log(at_least) - spread) if at_least else -spread
    np.testing.assert_allclose(float(global_entropy(p, at_least)), expected, atol=1e-9)
    both = EntropyLoss(local=0.3, global_=2.0, at_least=at_least)
    np.testing.assert_allclose(float(both.of(p)), 0.3 * numpy_entropy(n).mean() + 2 * expected, atol=1e-9)


def test_the_soft_minimum_counts_experts():
    """Oracle: uniform use of S of 8 experts has the entropy log S, so that the loss is 0 from S on and not before."""
    for used in range(1, 9):
        p = torch.zeros(24, 8, dtype=torch.float64)
        p[torch.arange(24), torch.arange(24) % used] = 1
        expected = max(0.0, math.log(4 / used)) if 24 % used == 0 else None
        if expected is not None:
            assert float(global_entropy(p, 4)) == pytest.approx(expected, abs=1e-12)
        assert float(local_entropy(p)) == 0


def test_gradients_are_finite_where_a_probability_is_0_and_push_the_right_way():
    """Oracle: one step along the gradient; in a group other experts' logits are -inf and their probabilities 0."""
    logits = torch.randn(30, 6, generator=torch.Generator().manual_seed(1))
    logits[:, 3:] = float("-inf")
    for loss in (local_entropy, lambda p: global_entropy(p, 6)):
        mine = logits.clone().requires_grad_()
        before = loss(mine.softmax(-1))
        before.backward()
        assert bool(mine.grad.isfinite().all())
        assert not bool(mine.grad[:, 3:].any())
        assert float(loss((logits - mine.grad).softmax(-1))) < float(before.detach())


def gradients(settings, rows):
    engine = build_engine(image_text_engine, settings)
    loss = engine.forward_backward(rows)
    return loss, {name: parameter.grad for name, parameter in engine.model.named_parameters()}


@pytest.mark.parametrize("groups", [False, True], ids=["shared", "groups"])
def test_each_modality_has_its_own_loss_in_every_layer(groups):
    """Oracle: autograd of the two formulas over this modality's tokens, found by their place in the row."""
    shape = {"moe": GROUPS, "image_experts": 2} if groups else {}
    rows = some_rows()
    losses = {"text": EntropyLoss(local=0.2, global_=0.7, at_least=3), "image": EntropyLoss(global_=0.4)}
    plain_loss, plain = gradients(config(**shape), rows)
    with_loss, found = gradients(config(entropy=losses, **shape), rows)
    assert float(with_loss) == float(plain_loss), "what a run reports is cross-entropy alone"
    model = config(**shape).build_model()
    model(rows.tokens, rows.pixels)
    total = torch.zeros(())
    for layer in moe_layers(model):
        p = layer.last_choice.probabilities.unflatten(0, (6, 23))
        safe = torch.where(p > 0, p, 1)
        text, image = p[:, 16:].flatten(0, 1), p[:, :16].flatten(0, 1)
        total = total + 0.2 * -(p * safe.log()).sum(-1)[:, 16:].mean()
        mean_text, mean_image = text.mean(0), image.mean(0)
        h_text = -(mean_text * torch.where(mean_text > 0, mean_text, 1).log()).sum()
        h_image = -(mean_image * torch.where(mean_image > 0, mean_image, 1).log()).sum()
        total = total + 0.7 * (math.log(3) - h_text).clamp(min=0) - 0.4 * h_image
    total.backward()
    expected = {name: parameter.grad for name, parameter in model.named_parameters()}
    routers = [name for name in found if ".router." in name]
    assert len(routers) >= 2
    for name in found:
        if plain[name] is not None:
            mine = expected[name] if expected[name] is not None else torch.zeros_like(plain[name])
            torch.testing.assert_close(found[name] - plain[name], mine, atol=1e-6, rtol=1e-4)
    assert all(float(expected[name].abs().sum()) > 0 for name in routers)


def test_no_tokens_of_a_modality_cost_nothing():
    """Oracle: the loss and its gradient are 0."""
    empty = torch.zeros(0, 4, requires_grad=True)
    value = EntropyLoss(local=1.0, global_=1.0, at_least=2).of(empty)
    value.backward()
    assert float(value.detach()) == 0


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: EntropyLoss(local=-0.1), "local=-0.1 must be a finite number, 0 or more"),
        (lambda: EntropyLoss(global_=float("nan")), "global_=nan must be a finite number"),
        (lambda: EntropyLoss(at_least=0.5), "at_least=0.5 is less than one expert"),
        (lambda: config(entropy={"sound": EntropyLoss()}), "modality='sound' is not known. .* use one of image, text"),
        (lambda: config(entropy={"text": 0.1}), r"entropy\['text'\]=0.1 is no EntropyLoss"),
        (lambda: config(image_experts=4), "image_experts=4 leaves words none of 4"),
        (lambda: config(image_experts=2).build_model(), "router='topk' knows no groups by modality"),
    ],
    ids=["negative", "nan", "half", "modality", "number", "all", "router"],
)
def test_bad_settings_are_refused(call, told):
    with pytest.raises(MoEError, match=told):
        call()
