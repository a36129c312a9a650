"""Pipeline parallelism's bubble: the time that stages wait while the pipeline fills and drains."""

from dataclasses import dataclass
from typing import Literal

from course_lib.arithmetic.errors import ArithmeticInputError, check_choice, check_count, check_not_negative

Schedule = Literal["gpipe", "1f1b", "interleaved", "zb1p", "zb2p", "zbv", "dualpipe"]
SCHEDULES: tuple[Schedule, ...] = ("gpipe", "1f1b", "interleaved", "zb1p", "zb2p", "zbv", "dualpipe")


@dataclass(frozen=True)
class PipelineBubble:
    """Idle time of one step under one schedule, in the caller's time unit.

    Args:
        bubble_seconds: idle time of a stage.
        ideal_seconds: time of the step with no bubble: microbatches * (forward + backward).
        bubble_over_ideal: bubble_seconds / ideal_seconds, which papers print.
        bubble_fraction: share of the whole step spent waiting, x / (1 + x) of the former.
        activations_in_flight: microbatches whose activations the fullest stage holds, counted in whole stages.
        parameter_copies: copies of its share of the weights that a device holds.
    """

    bubble_seconds: float
    ideal_seconds: float
    bubble_over_ideal: float
    bubble_fraction: float
    activations_in_flight: float
    parameter_copies: int


def pipeline_bubble(
    stages: int,
    microbatches: int,
    schedule: Schedule = "1f1b",
    virtual_stages: int = 1,
    *,
    forward_seconds: float = 1.0,
    backward_seconds: float = 2.0,
    weight_seconds: float | None = None,
    overlapped_seconds: float | None = None,
) -> PipelineBubble:
    """Bubble of a pipeline schedule, communication not counted.

    Args:
        stages: pipeline-parallel degree p.
        microbatches: microbatches per step m.
        schedule: "gpipe" (all forward, then all backward), "1f1b", "interleaved" (1F1B on `virtual_stages` chunks),
            "zb1p", "zb2p", "zbv" (zero bubble: weight gradients fill the gaps) or "dualpipe" (both directions).
        virtual_stages: chunks per device v; only for "interleaved".
        forward_seconds: F, one microbatch through one stage.
        backward_seconds: B, both gradients of one microbatch in one stage.
        weight_seconds: W, the part of B that computes weight gradients; half of B when left out.
        overlapped_seconds: F&B, a forward and a backward chunk that run at once ("dualpipe"); F + B when left out.

    Returns:
        The bubble, absolute and relative.

    Raises:
        ArithmeticInputError: an unknown schedule, or numbers that the schedule cannot run with.

    Source: Narayanan et al. 2021 (arXiv:2104.04473) section 2.2: (p-1)/m and (p-1)/(v m); Qi et al. 2024
        (arXiv:2401.10241) for the zero-bubble schedules; DeepSeek's DualPipe README for (p-1)(F+B),
        (p-1)(F+B-2W) and (p/2-1)(F&B+B-3W).
    """
    check_count("stages", stages)
    check_count("microbatches", microbatches)
    check_count("virtual_stages", virtual_stages)
    check_choice("schedule", schedule, SCHEDULES)
    f, b = forward_seconds, backward_seconds
    w = b / 2 if weight_seconds is None else weight_seconds
    both = f + b if overlapped_seconds is None else overlapped_seconds
    for name, value in (("forward_seconds", f), ("backward_seconds", b), ("overlapped_seconds", both)):
        if not value > 0:
            raise ArithmeticInputError.of(name, value, "must be above 0", "give one microbatch's time in one stage")
    check_not_negative("weight_seconds", w)
    if w > b:
        raise ArithmeticInputError.of("weight_seconds", w, f"is more than backward_seconds={b!r}", "W is a part of B")
    _check_schedule(stages, microbatches, schedule, virtual_stages)
    p, m = stages, microbatches
    bubble = {
        "gpipe": (p - 1) * (f + b),
        "1f1b": (p - 1) * (f + b),
        "interleaved": (p - 1) * (f + b) / virtual_stages,
        "zb1p": max(0.0, (p - 1) * (f + b - 2 * w)),
        "zb2p": 0.0,
        "zbv": 0.0,
        "dualpipe": max(0.0, (p / 2 - 1) * (both + b - 3 * w)),
    }[schedule]
    in_flight = {
        "gpipe": float(m),
        # the first chunk waits for the others' warm-up: 1 + (p-1)/(p v) as much as plain 1F1B keeps
        "interleaved": min(float(m), p * (1 + (p - 1) / (p * virtual_stages))),
        "zb2p": min(float(m), 2 * p - 1),
        "dualpipe": min(float(m), p + 1),
    }.get(schedule, float(min(p, m)))
    ideal = m * (f + b)
    return PipelineBubble(
        bubble_seconds=bubble,
        ideal_seconds=ideal,
        bubble_over_ideal=bubble / ideal,
        bubble_fraction=bubble / (ideal + bubble),
        activations_in_flight=in_flight,
        parameter_copies=2 if schedule == "dualpipe" else 1,
    )


def _check_schedule(stages: int, microbatches: int, schedule: Schedule, virtual_stages: int) -> None:
    if (schedule == "interleaved") != (virtual_stages > 1):
        raise ArithmeticInputError.of(
            "virtual_stages",
            virtual_stages,
            f"does not fit schedule={schedule!r}",
            "interleaving needs 2 or more, every other schedule exactly 1",
        )
    if schedule == "interleaved" and microbatches % stages:
        raise ArithmeticInputError.of(
            "microbatches",
            microbatches,
            f"must be a multiple of stages={stages} when interleaved",
            f"use {-(-microbatches // stages) * stages}",
        )
    if schedule == "dualpipe" and stages % 2:
        raise ArithmeticInputError.of("stages", stages, "must be even for dualpipe", f"use {stages + 1}")
