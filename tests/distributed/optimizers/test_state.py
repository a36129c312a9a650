"""Saved and loaded, low precision, odd groups, refusals. Oracle: the run that was never interrupted, torch.optim."""

import copy
import pickle

import pytest
import torch
from torch import nn

from course_lib.distributed import TrainConfig, build_engine, markov_batches
from course_lib.distributed.optimizers import Lamb, Lars, Lion, NonFiniteGradientError, decay_groups

MAKERS = {"lamb": Lamb, "lion": Lion, "lars": lambda params, **more: Lars(params, 0.5, **more)}


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


def small_model(dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 2)).to(dtype)


def train(model, optimizer, steps):
    for step in steps:
        x = torch.randn(8, 4, generator=torch.Generator().manual_seed(step)).to(next(model.parameters()).dtype)
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_run_goes_on_bit_for_bit_from_its_saved_state(make, dtype):
    """Oracle: the same run without the interruption."""
    model = small_model(dtype)
    optimizer = make(model.parameters())
    train(model, optimizer, range(5))
    saved = pickle.loads(pickle.dumps((model.state_dict(), optimizer.state_dict())))
    train(model, optimizer, range(5, 10))
    resumed = small_model(dtype)
    resumed.load_state_dict(saved[0])
    second = make(resumed.parameters())
    second.load_state_dict(saved[1])
    train(resumed, second, range(5, 10))
    for one, other in zip(model.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_moments_of_bfloat16_parameters_are_float32_also_after_loading(make):
    """Oracle: the dtype of every state tensor; torch's own loading casts them, as the last lines show for AdamW."""
    model = small_model(torch.bfloat16)
    optimizer = make(model.parameters())
    train(model, optimizer, range(2))
    loaded = make(model.parameters())
    loaded.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for state in [*optimizer.state.values(), *loaded.state.values()]:
        assert {value.dtype for value in state.values()} == {torch.float32}


def test_torchs_own_loading_makes_float32_moments_bfloat16():
    """Oracle: torch.optim.AdamW, the reason why loading is our own: this fails when torch stops casting."""
    weight = nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
    adam = torch.optim.AdamW([weight])
    moments = {"step": torch.tensor(1.0), "exp_avg": torch.ones(2), "exp_avg_sq": torch.ones(2)}
    adam.load_state_dict({"state": {0: moments}, "param_groups": adam.state_dict()["param_groups"]})
    assert adam.state[weight]["exp_avg"].dtype == torch.bfloat16


def test_bfloat16_weights_are_rounded_once_from_a_float32_step():
    """Oracle: the float32 run from the same weights and gradients, rounded by torch."""
    start = torch.randn(7, 5, generator=torch.Generator().manual_seed(1)).bfloat16()
    gradient = torch.randn(7, 5, generator=torch.Generator().manual_seed(2)).bfloat16()
    ends = []
    for dtype in (torch.bfloat16, torch.float32):
        weight = nn.Parameter(start.to(dtype, copy=True))
        weight.grad = gradient.to(dtype)
        Lamb([weight], 0.1).step()
        ends.append(weight.detach().bfloat16())
    assert torch.equal(*ends)


def test_decay_groups_split_matrices_from_vectors_and_take_a_tied_weight_once():
    """Oracle: nn.Module.named_parameters."""
    model = small_model()
    tied = nn.ModuleDict({"body": model, "again": model[0], "frozen": nn.Linear(2, 2).requires_grad_(False)})
    matrices, vectors = decay_groups(tied, 0.1, adapt=False)
    assert [name for name, _ in matrices["params"]] == ["body.0.weight", "body.2.weight"]
    assert {id(p) for group in (matrices, vectors) for _, p in group["params"]} == {id(p) for p in model.parameters()}
    optimizer = Lamb([matrices, vectors])
    assert [(g["weight_decay"], g["adapt"]) for g in optimizer.param_groups] == [(0.1, True), (0.0, False)]
    train(model, optimizer, range(2))
    assert len(decay_groups(nn.Linear(2, 2, bias=False), 0.1)) == 1


def test_parameters_without_gradient_are_left_alone_and_count_their_own_steps():
    """Oracle: torch.optim.AdamW, which does the same."""
    ends = []
    for make in (lambda p: Lamb(p, 0.1, eps=1e-8, adapt=False), lambda p: torch.optim.AdamW(p, 0.1)):
        often, seldom = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))
        optimizer = make([often, seldom])
        for step in range(4):
            optimizer.zero_grad()
            (often.sum() + (seldom.square().sum() if step % 2 else 0)).backward()
            optimizer.step()
        ends.append(torch.cat([often, seldom]).detach())
    torch.testing.assert_close(*ends)


def test_a_closure_is_run_and_schedulers_move_the_rate(make):
    """Oracle: torch.optim.lr_scheduler.LambdaLR; at rate 0 nothing moves."""
    weight = nn.Parameter(torch.ones(3))
    optimizer = make([weight])
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step)

    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 3
    assert torch.equal(weight.detach(), torch.ones(3))
    scheduler.step()
    optimizer.step(closure)
    assert not torch.equal(weight.detach(), torch.ones(3))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_is_refused_by_name_and_changes_nothing(make, bad):
    """Oracle: the model and the optimizer as they were."""
    model = small_model()
    optimizer = make(decay_groups(model, 0.01))
    train(model, optimizer, range(2))
    before = copy.deepcopy((model.state_dict(), optimizer.state_dict()["state"]))
    model(torch.randn(8, 4)).sum().backward()
    model[2].bias.grad[1] = bad  # in the second group: the first must be untouched too
    with pytest.raises(NonFiniteGradientError, match=r"2\.bias.*Nothing was changed.*OverflowWatch"):
        optimizer.step()
    torch.testing.assert_close((model.state_dict(), optimizer.state_dict()["state"]), before, rtol=0, atol=0)


def test_without_the_check_an_infinite_gradient_goes_through_as_in_torch(make):
    """Oracle: torch.optim's own habit: no error."""
    weight = nn.Parameter(torch.ones(3))
    weight.grad = torch.tensor([1.0, float("nan"), 1.0])
    optimizer = make([weight], check_finite=False)
    optimizer.step()
    # torch.sign(nan) is 0: Lion's weight stands still, silently, for good, and its momentum alone tells
    spoilt = optimizer.state[weight]["exp_avg"] if isinstance(optimizer, Lion) else weight
    assert spoilt.isnan().any()


def test_a_grad_scaler_skips_the_steps_that_overflow(make):
    """Oracle: torch.amp.GradScaler: unchanged weights and half the scale after an overflow."""
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    weight = nn.Parameter(torch.ones(3))
    optimizer = make([weight])
    for factor in (1.0, float("inf")):
        optimizer.zero_grad()
        scaler.scale((weight * factor).sum()).backward()
        before = weight.detach().clone()
        scaler.step(optimizer)
        scaler.update()
        assert torch.equal(weight.detach(), before) == (factor != 1.0)
    assert scaler.get_scale() == 2.0


@pytest.mark.parametrize(("name", "kind"), [("lamb", Lamb), ("lion", Lion)])
def test_an_engine_trains_with_it_by_name(name, kind):
    """Oracle: the loss, which falls, on the course's own text."""
    torch.set_num_threads(1)  # tiny matrices gain nothing from threads, and a busy machine loses much
    config = TrainConfig(optimizer=name, learning_rate=0.01 if name == "lamb" else 1e-3, global_batch=4)
    engine = build_engine("single", config)
    assert isinstance(engine.optimizer, kind)
    batch = markov_batches(config)[0]
    losses = [float(engine.step(batch)) for _ in range(6)]
    assert losses[-1] < losses[0]


def test_sparse_gradients_are_refused_with_a_remedy(make):
    """Oracle: the message."""
    table = nn.Embedding(5, 2, sparse=True)
    optimizer = make(table.parameters())
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(TypeError, match=r"sparse.*sparse=False"):
        optimizer.step()


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (lambda p: Lamb(p, -1.0), "lr=-1.0 must be a finite number"),
        (lambda p: Lamb(p, float("nan")), "lr=nan"),
        (lambda p: Lamb(p, betas=(1.0, 0.9)), r"betas\[0\]=1.0 must lie in \[0, 1\)"),
        (lambda p: Lamb(p, betas=(0.9, -0.1)), r"betas\[1\]=-0.1"),
        (lambda p: Lamb(p, eps=0.0), "eps=0.0 .*1e-6"),
        (lambda p: Lamb(p, weight_decay=-0.1), "weight_decay=-0.1"),
        (lambda p: Lamb(p, norm_bounds=(2.0, 1.0)), r"norm_bounds=\(2.0, 1.0\) .* low < high"),
        (lambda p: Lion(p, betas=(0.9, 1.0)), r"betas\[1\]=1.0"),
        (lambda p: Lion(p, lr="fast"), "lr='fast'"),
        (lambda p: Lars(p, 0.1, trust=0.0), "trust=0.0"),
        (lambda p: Lars(p, 0.1, momentum=1.5), "momentum=1.5"),
        (lambda p: Lion([{"params": p, "lr": -2.0}]), "lr=-2.0"),
        (lambda p: decay_groups(nn.Linear(1, 1), -1.0), "weight_decay=-1.0"),
    ],
)
def test_a_bad_setting_is_refused_when_it_is_given(bad, words):
    """Oracle: the message names the value and its limit."""
    with pytest.raises(ValueError, match=words):
        bad([nn.Parameter(torch.ones(2))])
