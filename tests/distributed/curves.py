"""What every engine's test compares: its loss curve and final weights with those of one process."""

import functools

import torch

from course_lib.distributed import Run, TrainConfig, run
from course_lib.models import tiny_config

STEPS = 6
SMALL = tiny_config(layers=2, hidden_size=32, heads=4, vocab_size=32)


def small_config(**changes) -> TrainConfig:
    return TrainConfig(**({"model": SMALL, "sequence_length": 16, "global_batch": 8, "learning_rate": 3e-3} | changes))


@functools.cache
def _single(config: TrainConfig, steps: int) -> Run:
    from course_lib.distributed import build_engine, markov_batches, train

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine, two that wait for each other at every small operation take minutes
    try:
        engine = build_engine("single", config)
        history = train(engine, markov_batches(config), steps)
        return Run("single", 1, history.losses, history.step_seconds, engine.full_state())
    finally:
        torch.set_num_threads(threads)


def single_process(config: TrainConfig, steps: int = STEPS) -> Run:
    """The reference: the same run in one process, computed once per config."""
    return _single(config, steps)


def assert_equal_curves(ours: Run, reference: Run, *, rtol=1e-5, weights_atol=1e-4):
    """Losses of every step within `rtol`, and every weight after the last one within `weights_atol`."""
    torch.testing.assert_close(torch.tensor(ours.losses), torch.tensor(reference.losses), rtol=rtol, atol=0)
    assert ours.losses[-1] < ours.losses[0], "the run did not learn, so equal curves would show nothing"
    assert ours.weights.keys() == reference.weights.keys()
    for name, value in ours.weights.items():
        difference = (value - reference.weights[name]).abs().max()
        assert difference <= weights_atol, f"{name} differs by {difference:.2e}"


def run_engine(launch_ranks, engine, config, world_size, steps=STEPS, **options) -> Run:
    return run(engine, config, world_size, steps=steps, launcher=launch_ranks, **options)
