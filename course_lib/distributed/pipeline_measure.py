"""A pipeline's waiting, measured: real ranks, real messages, PyTorch's schedules, and stages that sleep for their work.

Stages that computed would share the cores of a laptop, and a rank would wait for its turn at a core as well as for its
neighbor. Sleeping takes no core, so that what is left is the bubble and the time of the messages.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage

from course_lib.distributed.errors import check_not_negative, check_positive
from course_lib.distributed.pipe import run_schedule
from course_lib.distributed.pipeline_schedules import Action, Kind, check_schedule, stages_of
from course_lib.distributed.timeline import TimedAction, Timeline
from course_lib.runtime import launch


def measured_timeline(
    schedule: str,
    ranks: int,
    microbatches: int,
    virtual_stages: int = 1,
    *,
    forward_seconds: float = 0.01,
    backward_seconds: float = 0.02,
    weight_seconds: float | None = None,
    launcher: Callable[..., list[Any]] = launch,
) -> Timeline:
    """Run one step of a schedule with sleeping stages and write down when each rank did what.

    Args:
        schedule, ranks, microbatches, virtual_stages: as in `check_schedule`.
        forward_seconds: one microbatch through all of a rank's chunks.
        backward_seconds: both gradients of it.
        weight_seconds: the part of it that computes weight gradients; half of it when left out.
        launcher: how ranks are started.

    Returns:
        The timeline in seconds from the first action of the step. (On the first stage PyTorch's zero-bubble schedules
        do nothing at "I" and both parts at "W": nobody waits for the gradient of the tokens.)

    Raises:
        TrainingSetupError: when the schedule can't run with these numbers.
    """
    check_schedule(schedule, ranks, microbatches, virtual_stages)
    check_positive("forward_seconds", forward_seconds)
    check_positive("backward_seconds", backward_seconds)
    weight = backward_seconds / 2 if weight_seconds is None else weight_seconds
    check_not_negative("weight_seconds", weight)
    chunks = len(stages_of(schedule, ranks, 0, virtual_stages))
    sleeps = [seconds / chunks for seconds in (forward_seconds, max(0.0, backward_seconds - weight), weight)]

    def of_rank() -> list[TimedAction]:
        rank = dist.get_rank()
        stages = [
            PipelineStage(_Sleeper(*sleeps), stage, ranks * chunks, torch.device("cpu"))
            for stage in stages_of(schedule, ranks, rank, virtual_stages)
        ]
        driver = run_schedule(schedule, stages, microbatches, lambda out, target: (out - target).mean())
        log: list[TimedAction] = []
        x = torch.zeros(microbatches, 1)  # (microbatches, 1): one row each
        first, last = any(s.is_first for s in stages), any(s.is_last for s in stages)
        for warm in (True, False):  # the first step opens connections and tells shapes
            if not warm:
                record_actions(stages, rank, log)
            dist.barrier()
            driver.step(*((x,) if first else ()), target=x if last else None, return_outputs=False)
        return log

    logs: list[list[TimedAction]] = launcher(of_rank, ranks)
    began = min(timed.start for log in logs for timed in log)
    return Timeline(
        ranks,
        chunks,
        tuple(TimedAction(t.rank, t.action, t.start - began, t.stop - began) for log in logs for t in log),
    )


def record_actions(stages: Iterable[PipelineStage], rank: int, log: list[TimedAction]) -> None:
    """From now on, append to `log` each forward and backward pass that a rank's stages do, with its times.

    Args:
        stages: this rank's; changed in place. `Pipe.stages` of a real model serve as well.
        rank: which one.
        log: gets the actions; the clock is the machine's, the same for all ranks on it, in seconds.
    """
    for stage in stages:
        _time_calls(stage, "forward_one_chunk", lambda full: "F", rank, log)
        _time_calls(stage, "backward_one_chunk", lambda full: "B" if full else "I", rank, log)
        _time_calls(stage, "backward_weight_one_chunk", lambda full: "W", rank, log)


def _time_calls(
    stage: PipelineStage, method: str, kind_of: Callable[[bool], Kind], rank: int, log: list[TimedAction]
) -> None:
    inner = getattr(stage, method)

    def timed(microbatch: int, *args: Any, **kwargs: Any) -> Any:
        start = time.monotonic()
        result = inner(microbatch, *args, **kwargs)
        kind = kind_of(kwargs.get("full_backward", True))
        log.append(TimedAction(rank, Action(kind, stage.stage_index, microbatch), start, time.monotonic()))
        return result

    setattr(stage, method, timed)


class _Sleeper(nn.Module):
    """A stage that takes its time: x (microbatch, 1) → the same shape."""

    def __init__(self, forward_seconds: float, input_seconds: float, weight_seconds: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seconds = forward_seconds, input_seconds, weight_seconds

    def forward(self, x: Tensor) -> Tensor:
        forward, input_, weight = self.seconds
        used: Tensor = _Sleep.apply(self.weight, 0.0, weight)  # type: ignore[no-untyped-call]
        out: Tensor = _Sleep.apply(x + used, forward, input_)  # type: ignore[no-untyped-call]
        return out


class _Sleep(torch.autograd.Function):
    """The identity, which takes some seconds forward and some backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, forward_seconds: float, backward_seconds: float) -> Tensor:
        ctx.seconds = backward_seconds
        time.sleep(forward_seconds)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        time.sleep(ctx.seconds)
        return grads[0], None, None
