"""LAMB, LARS and Lion. Oracle: the papers' algorithms transcribed in NumPy float64, and torch.optim's AdamW and SGD."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.distributed.optimizers import Lamb, Lars, Lion
from tests.distributed.optimizers import transcribed

SHAPES = [(5, 3), (4,), (2, 3, 2), (1,), ()]


def run(make, weights, gradients, dtype=torch.float64):
    """The weights after one step for each list of gradients."""
    parameters = [torch.nn.Parameter(torch.tensor(weight, dtype=dtype)) for weight in weights]
    optimizer = make(parameters)
    for step in gradients:
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = torch.tensor(gradient, dtype=dtype)
        optimizer.step()
    return [parameter.detach().numpy() for parameter in parameters]


def problem(seed, steps, scale=1.0):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=shape) for shape in SHAPES]
    return weights, [[rng.normal(size=shape) * scale for shape in SHAPES] for _ in range(steps)]


NUMBERS = {
    "lr": st.floats(1e-4, 0.3),
    "decay": st.floats(0, 0.5),
    "b1": st.floats(0, 0.99),
    "b2": st.floats(0, 0.999),
    "seed": st.integers(0, 1000),
}


@settings(max_examples=25)
@given(**NUMBERS, bounds=st.sampled_from([(0.0, float("inf")), (0.5, 1.0)]))
def test_lamb_is_algorithm_2_of_its_paper(lr, decay, b1, b2, seed, bounds):
    """Oracle: the transcription, in float64."""
    weights, gradients = problem(seed, 4)
    ours = run(lambda p: Lamb(p, lr, (b1, b2), weight_decay=decay, norm_bounds=bounds), weights, gradients)
    for index, weight in enumerate(weights):
        theirs = transcribed.lamb(weight, [g[index] for g in gradients], lr, b1, b2, 1e-6, decay, *bounds)
        np.testing.assert_allclose(ours[index], theirs, rtol=1e-9, atol=1e-12)


@settings(max_examples=25)
@given(**NUMBERS)
def test_lion_is_algorithm_2_of_its_paper(lr, decay, b1, b2, seed):
    """Oracle: the transcription, in float64."""
    weights, gradients = problem(seed, 4)
    ours = run(lambda p: Lion(p, lr, (b1, b2), weight_decay=decay), weights, gradients)
    for index, weight in enumerate(weights):
        theirs = transcribed.lion(weight, [g[index] for g in gradients], lr, b1, b2, decay)
        np.testing.assert_allclose(ours[index], theirs, rtol=1e-9, atol=1e-12)


@settings(max_examples=25)
@given(lr=st.floats(0.1, 5), decay=st.floats(0, 0.1), b1=st.floats(0, 0.99), seed=st.integers(0, 1000))
def test_lars_is_algorithm_1_of_its_paper(lr, decay, b1, seed):
    """Oracle: the transcription, in float64."""
    weights, gradients = problem(seed, 4)
    ours = run(lambda p: Lars(p, lr, b1, decay), weights, gradients)
    for index, weight in enumerate(weights):
        theirs = transcribed.lars(weight, [g[index] for g in gradients], lr, b1, decay)
        np.testing.assert_allclose(ours[index], theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_lamb_without_its_layerwise_factor_is_adamw(decay):
    """Oracle: torch.optim.AdamW."""
    weights, gradients = problem(1, 8)
    ours = run(lambda p: Lamb(p, 0.01, eps=1e-8, weight_decay=decay, adapt=False), weights, gradients)
    theirs = run(lambda p: torch.optim.AdamW(p, 0.01, eps=1e-8, weight_decay=decay), weights, gradients)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10)


def test_lars_without_its_layerwise_factor_is_sgd_with_momentum():
    """Oracle: torch.optim.SGD."""
    weights, gradients = problem(2, 8)
    ours = run(lambda p: Lars(p, 0.1, 0.9, 0.05, adapt=False), weights, gradients)
    theirs = run(lambda p: torch.optim.SGD(p, 0.1, 0.9, weight_decay=0.05), weights, gradients)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10)


@given(scale=st.floats(1e-3, 1e6), seed=st.integers(0, 100))
@settings(max_examples=20)
def test_lamb_moves_each_layer_by_lr_times_its_own_length_whatever_the_gradients_scale(scale, seed):
    """Oracle: section 3 of the LAMB paper: the update is normalized, then scaled by the norm of the weights."""
    weights, gradients = problem(seed, 1, scale)
    ours = run(lambda p: Lamb(p, 0.02, weight_decay=0.01), weights, gradients)
    for mine, weight in zip(ours, weights, strict=True):
        assert np.linalg.norm(mine - weight) == pytest.approx(0.02 * np.linalg.norm(weight), rel=1e-9)


def test_lion_moves_every_element_by_lr():
    """Oracle: section 3 of the Lion paper: the update is a sign."""
    weights, gradients = problem(3, 1)
    for mine, weight in zip(run(lambda p: Lion(p, 0.25), weights, gradients), weights, strict=True):
        np.testing.assert_allclose(np.abs(mine - weight), 0.25)


def test_a_layer_of_zeros_can_leave_zero():
    """Oracle: torch.optim.AdamW and SGD, whose steps LAMB and LARS take there."""
    weights, gradients = [np.zeros((3, 2))], [[np.full((3, 2), 0.5)]]
    [lamb] = run(lambda p: Lamb(p, 0.1, eps=1e-8), weights, gradients)
    [adam] = run(lambda p: torch.optim.AdamW(p, 0.1), weights, gradients)
    np.testing.assert_allclose(lamb, adam)
    [lars] = run(lambda p: Lars(p, 0.1), weights, gradients)
    [sgd] = run(lambda p: torch.optim.SGD(p, 0.1), weights, gradients)
    np.testing.assert_allclose(lars, sgd)


@pytest.mark.parametrize(
    "make", [lambda p: Lamb(p, 0.05, weight_decay=0.0), lambda p: Lion(p, 0.03), lambda p: Lars(p, 20.0)]
)
def test_each_brings_a_regression_to_its_solution(make):
    """Oracle: numpy.linalg.lstsq's residual."""
    rng = np.random.default_rng(0)
    inputs, solution = rng.normal(size=(64, 4)), rng.normal(size=(4, 1))
    targets = inputs @ solution + 0.1 * rng.normal(size=(64, 1))
    best = np.linalg.lstsq(inputs, targets)[1][0] / 64
    x, y = torch.tensor(inputs), torch.tensor(targets)
    weight = torch.nn.Parameter(torch.full((4, 1), 0.1, dtype=torch.float64))
    optimizer = make([weight])
    peak = optimizer.param_groups[0]["lr"]
    for step in range(400):
        optimizer.param_groups[0]["lr"] = peak * (1 - step / 400)
        loss = ((x @ weight - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() == pytest.approx(best, rel=0.05)
