"""One call from a notebook to a finished run: start ranks, build the engine in each, train, bring the results back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch.distributed as dist
from torch import Tensor

from course_lib.distributed.build import Builder, build_engine, check_options
from course_lib.distributed.config import TrainConfig
from course_lib.distributed.errors import TrainingSetupError, check_count
from course_lib.distributed.loop import History, Numbered, Schedule, train
from course_lib.models import Batches, MarkovText
from course_lib.runtime import hardware, launch

Launch = Callable[..., list[Any]]


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        engine: its kind.
        world_size: ranks.
        losses: mean loss of each global batch, in nats per token.
        step_seconds: wall time of each step, of the slowest rank.
        weights: the trained model, by `GPT`'s names.
    """

    engine: str
    world_size: int
    losses: list[float]
    step_seconds: list[float]
    weights: dict[str, Tensor]


def run(
    engine: str | Builder,
    config: TrainConfig,
    world_size: int = 1,
    *,
    steps: int = 10,
    batches: Numbered | None = None,
    schedule: Schedule | None = None,
    hardware_kind: str = "cpu",
    launcher: Launch = launch,
    **options: Any,
) -> Run:
    """Train on ranks of this machine and wait for the result.

    Args:
        engine: kind of engine, see `engine_names`; or the function that builds one.
        config: of the run.
        world_size: ranks.
        steps: optimizer steps.
        batches: global batches by step number; Markov text when left out.
        schedule: step → factor of the learning rate.
        hardware_kind: "cpu", "cuda", "neuron", "hpu" or "auto".
        launcher: how ranks are started; a `Launcher` starts them faster when there are many runs.
        **options: of the engine.

    Returns:
        Losses, times and weights.

    Raises:
        TrainingSetupError: for an unknown engine or option, a negative number of steps, or "single" with more than one
            rank.
        LaunchError: when a rank fails, with that rank's own message.
    """
    check_options(engine, options)
    if not isinstance(config, TrainConfig):
        raise TrainingSetupError.of("config", config, "is no TrainConfig", "run('ddp', TrainConfig(...), 2)")
    check_count("steps", steps, minimum=0)
    if schedule is not None and not callable(schedule):
        raise TrainingSetupError.of(
            "schedule", schedule, "is no function of the step", "use warmup_cosine(...) or None"
        )
    if engine == "single" and world_size != 1:
        raise TrainingSetupError.of("world_size", world_size, "must be 1 for engine 'single'", "use engine='ddp'")
    data = batches if batches is not None else markov_batches(config)
    needs = {"horovod": True} if engine == "horovod" else {}

    def of_rank() -> tuple[History, dict[str, Tensor] | None]:
        built = build_engine(engine, config, hardware(hardware_kind), **options)
        history = train(built, data, steps, schedule=schedule)
        weights = built.full_state()
        built.close()
        return history, weights if dist.get_rank() == 0 else None

    results = launcher(of_rank, world_size, hardware=hardware_kind, **needs)
    histories = [history for history, _ in results]
    slowest = [max(times) for times in zip(*(h.step_seconds for h in histories), strict=True)]
    kind = engine if isinstance(engine, str) else engine.__name__
    return Run(kind, world_size, histories[0].losses, slowest, results[0][1])


def markov_batches(config: TrainConfig) -> Batches:
    """The synthetic text that a config's model and batch ask for."""
    text = MarkovText(config.model.vocab_size, seed=config.seed)
    return Batches(text, config.global_batch, config.sequence_length, seed=config.seed)
