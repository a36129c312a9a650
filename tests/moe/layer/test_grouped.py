"""The grouped form against the loop, expert by expert, which a reader can check, and against finite differences."""

import pytest
import torch

from course_lib.moe import MoEConfig, MoEError, MoELayer
from course_lib.moe.experts import Experts
from course_lib.moe.grouped import experts_by_group, experts_in_one_call, mixture_by_group
from course_lib.moe.loop import experts_by_loop, mixture_by_loop

SIZES = {
    "odd": (37, 5, 2, 24, 40),
    "empty experts": (2, 64, 8, 16, 8),
    "one token": (1, 8, 2, 8, 16),
    "no token": (0, 4, 2, 8, 8),
    "one expert": (9, 1, 1, 8, 8),
    "all experts": (16, 4, 4, 8, 16),
}  # tokens, experts, k, hidden, inner


def operands(size, gated=True, dtype=torch.float32, dropped=0.2, seed=1):
    tokens, experts, k, hidden, inner = SIZES[size]
    generator = torch.Generator().manual_seed(seed)
    x, up, down = (
        (torch.randn(*shape, generator=generator) * 0.5).to(dtype).requires_grad_()
        for shape in ((tokens, hidden), (experts, (1 + gated) * inner, hidden), (experts, hidden, inner))
    )
    chosen = torch.rand(tokens, experts, generator=generator).topk(k).indices
    chosen[torch.rand(tokens, k, generator=generator) < dropped] = -1
    weights = torch.rand(tokens, k, generator=generator).to(dtype).requires_grad_()
    return x, chosen, weights, up, down


def result(run, x, chosen, weights, up, down, **options):
    out = run(x, chosen, weights, up, down, **options)
    pull = torch.linspace(-1, 1, out.numel()).view_as(out).to(out.dtype)
    return [out, *torch.autograd.grad(out, (x, weights, up, down), pull)]


@pytest.mark.parametrize("gated", [True, False], ids=["gated", "plain"])
@pytest.mark.parametrize("activation", ["silu", "gelu", "relu"])
@pytest.mark.parametrize("size", list(SIZES))
def test_grouped_and_loop_agree_in_outputs_and_gradients(size, activation, gated):
    """Oracle: the loop over experts, differentiated by autograd."""
    given = operands(size, gated)
    ours, expected = (
        result(run, *given, activation=activation, gated=gated) for run in (mixture_by_group, mixture_by_loop)
    )
    for mine, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", ["odd", "all experts"])
def test_bf16_is_within_two_percent_of_the_exact_result_and_about_as_near_as_the_loop(size):
    """Oracle: the loop in fp64 on the same bf16 numbers.

    Of one drawing either may be nearer by half, as the processor adds; of twenty, neither is by much.
    """
    ours_off, loop_off = torch.zeros(5), torch.zeros(5)
    for seed in range(20):
        given = operands(size, dtype=torch.bfloat16, seed=seed)
        exact = result(
            mixture_by_loop, *(t.detach().double().requires_grad_() if t.is_floating_point() else t for t in given)
        )
        ours, loop = (result(run, *given) for run in (mixture_by_group, mixture_by_loop))
        for at, (mine, other, truth) in enumerate(zip(ours, loop, exact, strict=True)):
            assert mine.dtype == torch.bfloat16
            assert (mine - truth).abs().max() <= 0.02 * truth.abs().max()
            ours_off[at] += (mine - truth).detach().square().sum()
            loop_off[at] += (other - truth).detach().square().sum()
    assert (ours_off <= 1.2**2 * loop_off).all(), (ours_off / loop_off).sqrt()


def test_gradients_are_those_of_finite_differences():
    """Oracle: torch.autograd.gradcheck in fp64, for every operand."""
    x, chosen, weights, up, down = operands("one token", dtype=torch.float64, dropped=0)
    assert torch.autograd.gradcheck(
        lambda *given: mixture_by_group(given[0], chosen, *given[1:]), (x, weights, up, down), fast_mode=True
    )


def test_sorted_rows_agree_with_the_loop_and_with_the_grouped_matmul_of_accelerators():
    """Oracle: the loop; torch.nn.functional.grouped_mm, which runs on a CPU too, checks the accelerators' path."""
    x, _, _, up, down = operands("odd")
    counts = torch.tensor([7, 0, 20, 1, 9])
    outs = [run(x, counts, up, down) for run in (experts_by_group, experts_in_one_call, experts_by_loop)]
    grads = [torch.autograd.grad(out.square().sum(), (x, up, down)) for out in outs]
    for out, of_one in zip(outs[:2], grads[:2], strict=True):
        torch.testing.assert_close(out, outs[2], rtol=1e-5, atol=1e-5)
        for mine, other in zip(of_one, grads[2], strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-4)


def test_the_accelerators_path_of_a_mixture_agrees_with_the_loop(monkeypatch):
    """Oracle: the loop. The path is the one that a GPU takes; here it runs on the CPU."""
    monkeypatch.setattr("course_lib.moe.grouped._in_cpu_kernels", lambda _: False)
    given = operands("odd")
    for mine, other in zip(result(mixture_by_group, *given), result(mixture_by_loop, *given), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)


def test_dropped_pairs_take_nothing_from_memory_that_was_never_written(monkeypatch):
    """Oracle: the loop, while PyTorch fills memory that it has not written with NaN (its deterministic mode)."""
    monkeypatch.setattr("course_lib.moe.grouped._in_cpu_kernels", lambda _: False)
    given = operands("odd", dropped=0.5)
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.utils.deterministic.fill_uninitialized_memory
        ours, expected = (result(run, *given) for run in (mixture_by_group, mixture_by_loop))
    finally:
        torch.use_deterministic_algorithms(False)
    for mine, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)


def test_strided_operands_give_what_contiguous_ones_give():
    """Oracle: the same numbers, contiguous."""
    x, chosen, weights, up, down = operands("odd")
    strided = [t.detach().transpose(0, -1).contiguous().transpose(0, -1).requires_grad_() for t in (x, up, down)]
    assert not any(t.is_contiguous() for t in strided)
    expected = result(mixture_by_group, x, chosen, weights, up, down)
    for mine, other in zip(result(mixture_by_group, strided[0], chosen, weights, *strided[1:]), expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


def test_frozen_weights_get_no_gradient_and_cost_no_matmul():
    """Oracle: autograd's rule; the gradient of x is as it was."""
    x, chosen, weights, up, down = operands("odd")
    expected = result(mixture_by_group, x, chosen, weights, up, down)[1]
    out = mixture_by_group(x, chosen, weights, up.detach(), down.detach())
    pull = torch.linspace(-1, 1, out.numel()).view_as(out)
    assert torch.equal(torch.autograd.grad(out, x, pull)[0], expected)


def test_a_token_with_nan_spoils_itself_alone():
    """Oracle: the loop: rows of one expert are independent of each other."""
    x, chosen, weights, up, down = operands("odd", dropped=0)
    spoiled = x.detach().clone()
    spoiled[3] = float("nan")
    out, clean = (mixture_by_group(t, chosen, weights, up, down) for t in (spoiled, x))
    assert out[3].isnan().all()
    rest = torch.arange(len(x)) != 3
    torch.testing.assert_close(out[rest], clean[rest], rtol=1e-5, atol=1e-6)


def test_autocast_returns_bf16_over_fp32_weights_and_their_gradients_stay_fp32():
    """Oracle: torch.autocast's rule for matmuls, as F.linear follows it."""
    layer = MoELayer(MoEConfig(hidden_size=16, expert_hidden_size=24))
    x = torch.randn(10, 16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x)
    assert out.dtype == torch.bfloat16
    out.float().sum().backward()
    assert x.grad.dtype == layer.experts.up.grad.dtype == torch.float32
    torch.testing.assert_close(out.float(), layer(x), rtol=0.05, atol=1e-3)


def test_shapes_that_do_not_fit_are_named():
    x, chosen, weights, up, down = operands("odd")
    with pytest.raises(MoEError, match=r"up=\(5, 80, 24\) must be \(5, 40, 24\) beside down"):
        mixture_by_group(x, chosen, weights, up, down, gated=False)
    with pytest.raises(MoEError, match=r"x=\(37, 23\) must be \(rows, 24\)"):
        mixture_by_group(x[:, 1:], chosen, weights, up, down)


def test_experts_run_alike_in_both_executions():
    """Oracle: execution="loop"."""
    config = MoEConfig(hidden_size=16, expert_hidden_size=24)
    grouped, loop = Experts(config), Experts(MoEConfig(**{**vars(config), "execution": "loop"}))
    loop.load_state_dict(grouped.state_dict())
    x, counts = torch.randn(9, 16), torch.tensor([0, 4, 0, 0, 1, 2, 2, 0])
    torch.testing.assert_close(grouped(x, counts), loop(x, counts), rtol=1e-5, atol=1e-6)
