"""What the tests of expert parallelism share: a small mixture of experts, and the same run in one process."""

import functools

import pytest
import torch

from course_lib.distributed import Run, build_engine, markov_batches, train
from course_lib.moe import MoEConfig, MoETrainConfig, moe_config

STEPS = 5
WEIGHTS = 1e-5  # Adam divides by the gradient's own size, and so rounding by as little
EXPERTS = 12  # shared equally by 1, 2, 3 and 4 ranks


def small_moe(*, shape=None, moe=None, **changes) -> MoETrainConfig:
    model = moe_config(
        **({"layers": 2, "hidden_size": 32, "heads": 4, "vocab_size": 32, "experts": EXPERTS} | (shape or {}))
    )
    settings = {"sequence_length": 8, "global_batch": 12, "learning_rate": 3e-3} | changes
    return MoETrainConfig(model=model, moe=MoEConfig.of(model, **(moe or {})), **settings)


def slow(*values):
    """A case of a parametrized test that `make test-slow` runs; each launch of real ranks costs seconds."""
    return pytest.param(*values, marks=pytest.mark.slow)


@functools.cache
def one_process(config: MoETrainConfig, steps: int = STEPS) -> Run:
    """The reference: the same run without torch.distributed, computed once per config."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine, two that wait for each other at every small operation take minutes
    try:
        engine = build_engine("single", config)
        history = train(engine, markov_batches(config), steps)
        return Run("single", 1, history.losses, history.step_seconds, engine.full_state())
    finally:
        torch.set_num_threads(threads)
