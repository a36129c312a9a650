"""The learning rate over a run: warm-up, then cosine, straight line, or a plateau with a short decay.

Each function returns a factor by step number, which `train(schedule=...)` and torch's LambdaLR take as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from course_lib.distributed.errors import TrainingSetupError, check_count, check_not_negative

Schedule = Callable[[int], float]
Decay = Literal["linear", "cosine", "1-sqrt"]
# share of the decay that is over, 0 to 1 → how much of the rate is left, 1 to 0
DECAYS: dict[str, Callable[[float], float]] = {
    "linear": lambda done: 1 - done,
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    "1-sqrt": lambda done: 1 - math.sqrt(done),
}


def warmup_cosine(warmup_steps: int, total_steps: int, *, floor: float = 0.0, start: float = 0.0) -> Schedule:
    """Linear warm-up, then half a cosine down to the floor.

    Args:
        warmup_steps: steps until the full rate; 0 for none.
        total_steps: steps of the whole run; from there on the rate stays at the floor.
        floor: last factor, such as 0.1.
        start: factor of step 0. With 0 the first step moves nothing, as in most libraries.

    Returns:
        Step number → factor of the peak rate.

    Raises:
        TrainingSetupError: for a number out of range.

    Source: Loshchilov and Hutter 2017 (arXiv:1608.03983); warm-up after Goyal et al. 2017 (arXiv:1706.02677).
    """
    return _stages(warmup_steps, warmup_steps, total_steps, "cosine", floor, start)


def warmup_linear(warmup_steps: int, total_steps: int, *, floor: float = 0.0, start: float = 0.0) -> Schedule:
    """Linear warm-up, then a straight line down to the floor.

    Args:
        warmup_steps, total_steps, floor, start: as in `warmup_cosine`.

    Returns:
        Step number → factor of the peak rate.

    Raises:
        TrainingSetupError: for a number out of range.

    Source: Devlin et al. 2018 (arXiv:1810.04805), appendix A.2.
    """
    return _stages(warmup_steps, warmup_steps, total_steps, "linear", floor, start)


def warmup_stable_decay(
    warmup_steps: int,
    total_steps: int,
    decay_steps: int,
    *,
    decay: Decay = "1-sqrt",
    floor: float = 0.0,
    start: float = 0.0,
) -> Schedule:
    """Linear warm-up, a plateau, and a decay over the last steps.

    The plateau does not depend on where the run ends, so that it can be prolonged, or branched into several ends.

    Args:
        warmup_steps, total_steps, floor, start: as in `warmup_cosine`.
        decay_steps: how many of the last steps decay; a tenth to a fifth of the run is usual.
        decay: its shape: "linear", "cosine" or "1-sqrt".

    Returns:
        Step number → factor of the peak rate.

    Raises:
        TrainingSetupError: for a number out of range, or stages longer than the run.

    Source: Hu et al. 2024 (arXiv:2404.06395) for the stages; Haegele et al. 2024 (arXiv:2405.18392) for 1 - sqrt.
    """
    check_count("decay_steps", decay_steps)
    check_count("total_steps", total_steps)
    if decay not in DECAYS:
        raise TrainingSetupError.of("decay", decay, "is not known", f"use one of {', '.join(DECAYS)}")
    return _stages(warmup_steps, total_steps - decay_steps, total_steps, decay, floor, start)


def _stages(warmup: int, decay_from: int, total: int, decay: str, floor: float, start: float) -> Schedule:
    check_count("warmup_steps", warmup, minimum=0)
    check_count("total_steps", total)
    for name, share in (("floor", floor), ("start", start)):
        check_not_negative(name, share)
        if share > 1:
            raise TrainingSetupError.of(name, share, "is a factor of the peak rate, at most 1", "give 0.1 for a tenth")
    if not warmup <= decay_from < total:
        raise TrainingSetupError.of(
            "warmup_steps", warmup, f"and the decay must fit into {total} steps", "shorten one or prolong the run"
        )

    def factor(step: int) -> float:
        check_count("step", step, minimum=0)
        if step < warmup:
            return start + (1 - start) * step / warmup
        if step < decay_from:
            return 1.0
        done = min(1.0, (step - decay_from) / (total - decay_from))
        return floor + (1 - floor) * DECAYS[decay](done)

    return factor
