"""What the tests of training share: small runs by name, and all of them on real ranks in one launch."""

import dataclasses
import functools

import torch

from course_lib.distributed import Run, build_engine, markov_batches, train
from course_lib.moe import MoEConfig, MoETrainConfig, moe_config

STEPS = 5
SHAPE = {"layers": 2, "hidden_size": 32, "heads": 4, "vocab_size": 32, "experts": 6}
UNUSED = 3  # the expert that no token reaches in case "unused"


def small(*, moe=None, shape=None, **changes) -> MoETrainConfig:
    model = moe_config(**(SHAPE | (shape or {})))
    settings = {"sequence_length": 8, "global_batch": 12, "learning_rate": 3e-3} | changes
    return MoETrainConfig(model=model, moe=MoEConfig.of(model, **(moe or {})), **settings)


def unused() -> MoETrainConfig:
    """One expert is so unattractive that it gets no token; the bias moves too slowly to change that."""
    config = small(moe={"router": "sigmoid_bias"})
    start = config.build_model().state_dict()
    for name, value in start.items():
        if name.endswith("router.bias"):
            value[UNUSED] = -100.0
    return dataclasses.replace(config, start=start)


CASES = {
    "balance": small(moe={"balance_loss": 0.1, "z_loss": 1e-2}),
    "bias": small(moe={"router": "sigmoid_bias", "bias_update_rate": 1e-2}),
    "accumulate": small(moe={"router": "sigmoid_bias", "z_loss": 1e-3}, microbatch=2, clip_norm=0.5),
    "recompute": small(moe={"router": "sigmoid_bias", "balance_loss": 0.1}, recomputation="full"),
    "unused": unused(),
}
LOSSES_OF_ONE_RANK = small(moe={"balance_loss": 0.1, "z_loss": 1e-2, "balance_scope": "rank"})
BF16 = dataclasses.replace(CASES["balance"], precision="bf16")


def trained(engine_name, config, steps=STEPS, **options) -> Run:
    """A run in this process: alone, or as one rank of those that a launch has started."""
    engine = build_engine(engine_name, config, **options)
    history = train(engine, markov_batches(config), steps)
    return Run(engine_name, engine.share.count, history.losses, history.step_seconds, engine.full_state())


def all_cases(engine_names):
    """For a launch: every case on every engine named → its run, by (engine, case)."""
    return {(name, case): trained(name, config) for name in engine_names for case, config in CASES.items()}


@functools.cache
def one_process(case: str) -> Run:
    """The reference: the same run in this process, no torch.distributed in it; computed once."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine, two that wait for each other at every small operation take minutes
    try:
        return trained("single", CASES[case])
    finally:
        torch.set_num_threads(threads)
