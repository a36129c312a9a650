"""Pipeline schedules as lists: what each rank does with which microbatch, in which order.

The engine runs PyTorch's own schedules; these lists say the same in a few lines each, for pictures and for arithmetic
(a test compares the two, action by action). F is a forward pass, B a backward pass; the zero-bubble schedules split B
into I, the gradient of the stage's input, for which the stage before waits, and W, that of its weights, which can fill
any gap.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from course_lib.distributed.errors import TrainingSetupError, check_count, check_divides

PipelineSchedule = Literal["gpipe", "1f1b", "interleaved", "zb1p", "zbv"]
SCHEDULES: tuple[PipelineSchedule, ...] = ("gpipe", "1f1b", "interleaved", "zb1p", "zbv")
Kind = Literal["F", "B", "I", "W"]


@dataclass(frozen=True)
class Action:
    """One piece of a rank's work.

    Args:
        kind: "F", "B", "I" or "W".
        stage: which stage of the model, 0 for the first.
        microbatch: which microbatch.
    """

    kind: Kind
    stage: int
    microbatch: int

    def __str__(self) -> str:
        """As PyTorch writes it: stage, kind, microbatch, such as `2F0`."""
        return f"{self.stage}{self.kind}{self.microbatch}"


def check_schedule(schedule: str, ranks: int, microbatches: int, virtual_stages: int = 1) -> None:
    """Raise `TrainingSetupError` unless a schedule can run with these numbers.

    Args:
        schedule: one of `SCHEDULES`.
        ranks: pipeline-parallel degree p.
        microbatches: per step and pipeline, m.
        virtual_stages: chunks of layers per rank: 2 or more for "interleaved", 1 for all others ("zbv" has 2 anyway).
    """
    if schedule not in SCHEDULES:
        raise TrainingSetupError.of("pipeline_schedule", schedule, "is not known", f"use one of {', '.join(SCHEDULES)}")
    for name, value in (("ranks", ranks), ("microbatches", microbatches), ("virtual_stages", virtual_stages)):
        check_count(name, value)
    if (schedule == "interleaved") != (virtual_stages > 1):
        raise TrainingSetupError.of(
            "virtual_stages",
            virtual_stages,
            f"does not fit schedule={schedule!r}",
            "interleaving needs 2 or more, every other schedule exactly 1",
        )
    if schedule in ("interleaved", "zb1p"):
        check_divides("microbatches", microbatches, ranks, f"pipeline ranks under schedule={schedule!r}")
    if schedule != "gpipe" and microbatches < ranks:
        raise TrainingSetupError.of(
            "microbatches",
            microbatches,
            f"must be at least the {ranks} pipeline ranks under schedule={schedule!r}, or some never work",
            "make config.microbatch smaller or config.global_batch larger",
        )


def stages_of(schedule: str, ranks: int, rank: int, virtual_stages: int = 1) -> list[int]:
    """The stages that one rank holds, in the order of the model: a loop over the ranks, or a V for "zbv"."""
    if schedule == "zbv":
        return [rank, 2 * ranks - 1 - rank]
    return [rank + chunk * ranks for chunk in range(virtual_stages)]


def schedule_orders(schedule: str, ranks: int, microbatches: int, virtual_stages: int = 1) -> list[list[Action]]:
    """What each rank does, one action after the other.

    Args:
        schedule, ranks, microbatches, virtual_stages: as in `check_schedule`.

    Returns:
        One list per rank.

    Raises:
        TrainingSetupError: when the schedule can't run with these numbers.

    Source: Huang et al. 2018 (arXiv:1811.06965) for GPipe; Narayanan et al. 2021 (arXiv:2104.04473) section 2.2 for
        1F1B and its interleaved form; Qi et al. 2023 (arXiv:2401.10241) sections 2 (ZB-H1) and 6 (ZB-V).
    """
    check_schedule(schedule, ranks, microbatches, virtual_stages)
    orders = []
    for rank in range(ranks):
        stages = stages_of(schedule, ranks, rank, virtual_stages)
        if schedule == "gpipe":
            words = ["F0"] * microbatches + ["B0"] * microbatches
        elif schedule == "zb1p":
            words = _zb1p(ranks, rank, microbatches)
        elif schedule == "zbv":
            words = _zbv(ranks, rank, microbatches)
        else:
            words = _one_forward_one_backward(ranks, rank, microbatches, virtual_stages)
        orders.append(_numbered(words, stages, microbatches))
    return orders


def _numbered(words: list[str], stages: list[int], microbatches: int) -> list[Action]:
    """Kinds and chunks in order ("F0": a forward pass of a rank's first chunk) → actions; microbatches come in turn."""
    seen: Counter[str] = Counter()
    actions = []
    for word in words:
        kind: Kind = word[0]  # type: ignore[assignment]
        if seen[word] < microbatches:
            actions.append(Action(kind, stages[int(word[1:])], seen[word]))
        seen[word] += 1
    return actions


def _one_forward_one_backward(p: int, rank: int, m: int, v: int) -> list[str]:
    """Chunks take turns, p microbatches each; a rank runs ahead just so far that the first backward pass finds it."""
    forward = [f"F{i // p % v}" for i in range(m * v)] if v > 1 else ["F0"] * m
    backward = [f"B{v - 1 - i // p % v}" for i in range(m * v)] if v > 1 else ["B0"] * m
    ahead = min(m * v, (p - rank - 1) * (1 if v == 1 else 2) + (v - 1) * p)
    pairs = [word for pair in zip(forward[ahead:], backward, strict=False) for word in pair]
    return forward[:ahead] + pairs + backward[m * v - ahead :]


def _zb1p(p: int, rank: int, m: int) -> list[str]:
    """1F1B with W put off by as many microbatches as the rank's number: it fills the gaps at the end."""
    ahead = min(m, p - rank - 1)
    words = ["F0"] * ahead
    for i in range(m):
        words += ["F0"] * (i < m - ahead) + ["I0"] + ["W0"] * (i >= rank)
    return words + ["W0"] * min(rank, m)


def _zbv(p: int, rank: int, m: int) -> list[str]:
    """Chunk 0 goes down the ranks and chunk 1 back up, so that the loss is computed where the tokens came in."""
    n = max(m, 2 * p - 1)  # the pattern's least number; what is more than m is left out
    fill = ["F0"] * (2 * (p - rank) - 1) + ["F1", "F0"] * rank + ["F1", "I1", "W1"] * (p - rank)
    steady: list[str] = []
    for i in range(n - p):
        steady += ["F0"] * (i < n - (2 * p - rank - 1)) + ["I0", "W0", "F1", "I1", "W1"]
    drain = ["I0", "I1"] * rank + ["I0", "W0"] * (p - rank) + ["W1"] * rank + ["W0"] * rank
    return fill + steady + drain
