"""Learning rates over a run. Oracle: transformers' schedules and torch.optim.lr_scheduler, step by step."""

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.distributed import TrainingSetupError
from course_lib.distributed.lr_schedules import warmup_cosine, warmup_linear, warmup_stable_decay


def rates(make_scheduler, steps):
    """Learning rates that a torch scheduler sets for steps 0, 1, ..., with a peak of 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make_scheduler(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def ours(schedule, steps):
    """Through LambdaLR, so that it is shown to fit."""
    return rates(lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, schedule), steps)


LENGTHS = {"warmup": st.integers(0, 20), "rest": st.integers(1, 40)}


@settings(max_examples=15)
@given(**LENGTHS)
def test_cosine_and_linear_are_those_of_transformers(warmup, rest):
    """Oracle: transformers.get_cosine_schedule_with_warmup and get_linear_schedule_with_warmup."""
    total = warmup + rest
    theirs = rates(lambda o: transformers.get_cosine_schedule_with_warmup(o, warmup, total), total + 1)
    assert ours(warmup_cosine(warmup, total), total + 1) == pytest.approx(theirs, abs=1e-12)
    theirs = rates(lambda o: transformers.get_linear_schedule_with_warmup(o, warmup, total), total + 5)
    assert ours(warmup_linear(warmup, total), total + 5) == pytest.approx(theirs, abs=1e-12)


@settings(max_examples=15)
@given(**LENGTHS, floor=st.floats(0, 1))
def test_a_floor_is_that_of_transformers(warmup, rest, floor):
    """Oracle: transformers.get_cosine_with_min_lr_schedule_with_warmup."""
    total = warmup + rest
    theirs = rates(
        lambda o: transformers.get_cosine_with_min_lr_schedule_with_warmup(o, warmup, total, min_lr_rate=floor), total
    )
    assert ours(warmup_cosine(warmup, total, floor=floor), total) == pytest.approx(theirs, abs=1e-12)


@settings(max_examples=15)
@given(**LENGTHS, decay=st.integers(1, 20), shape=st.sampled_from(["linear", "cosine", "1-sqrt"]))
def test_warmup_stable_decay_is_that_of_transformers(warmup, rest, decay, shape):
    """Oracle: transformers.get_wsd_schedule."""
    total = warmup + rest + decay
    theirs = rates(
        lambda o: transformers.get_wsd_schedule(o, warmup, decay, num_training_steps=total, decay_type=shape), total + 3
    )
    assert ours(warmup_stable_decay(warmup, total, decay, decay=shape), total + 3) == pytest.approx(theirs, abs=1e-12)


def test_a_start_above_zero_and_a_floor_are_torchs_linear_and_cosine_in_sequence():
    """Oracle: torch.optim.lr_scheduler.SequentialLR of LinearLR and CosineAnnealingLR."""
    scheduler = torch.optim.lr_scheduler

    def sequence(optimizer):
        warm = scheduler.LinearLR(optimizer, start_factor=0.25, total_iters=8)
        cosine = scheduler.CosineAnnealingLR(optimizer, T_max=32, eta_min=0.1)
        return scheduler.SequentialLR(optimizer, [warm, cosine], milestones=[8])

    assert ours(warmup_cosine(8, 40, floor=0.1, start=0.25), 41) == pytest.approx(rates(sequence, 41))


def test_after_the_run_the_rate_stays_at_the_floor():
    """Oracle: by hand; transformers' cosine would rise again."""
    assert {warmup_cosine(2, 10, floor=0.1)(step) for step in (10, 11, 20, 1000)} == {0.1}


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (lambda: warmup_cosine(-1, 10), "warmup_steps=-1"),
        (lambda: warmup_cosine(10, 10), "warmup_steps=10 .*10 steps"),
        (lambda: warmup_cosine(1, 10, floor=10), "floor=10 is a factor"),
        (lambda: warmup_linear(1, 10, start=float("nan")), "start=nan"),
        (lambda: warmup_stable_decay(5, 10, 6), "must fit into 10 steps"),
        (lambda: warmup_stable_decay(5, 10, 2, decay="exp"), "decay='exp' .*1-sqrt"),
        (lambda: warmup_cosine(1, 10)(-1), "step=-1"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(bad, words):
    """Oracle: the message names the value and its limit."""
    with pytest.raises(TrainingSetupError, match=words):
        bad()
