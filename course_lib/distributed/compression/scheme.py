"""Gradient compression by name: what is asked for, checked where it is asked, made a hook where the model is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from course_lib.catalog import is_number
from course_lib.distributed.compression.codecs import RandomK, Sign, TopK
from course_lib.distributed.compression.hooks import Cast, Feedback, Hook, LowRank, PowerSGDState
from course_lib.distributed.errors import TrainingSetupError, check_count

# name → options and their values when left out
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "fp16": {},
    "bf16": {},
    "powersgd": {"rank": 2, "start_step": 10, "error_feedback": True, "warm_start": True, "min_compression": 1.0},
    "topk": {"ratio": 0.01, "error_feedback": True},
    "randomk": {"ratio": 0.01, "error_feedback": True},
    "sign": {"error_feedback": True},
}


@dataclass(frozen=True)
class Compression:
    """A compression that was asked for; `compression` makes it.

    Args:
        name: of the scheme.
        options: all of them, checked.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def attach(self, model: DistributedDataParallel, seed: int = 0) -> Hook:
        """Have a DDP model exchange its gradients this way; once, on every rank.

        Args:
            model: before its first backward pass.
            seed: of what is drawn, the same on every rank.

        Returns:
            The hook, whose state belongs into checkpoints.
        """
        makers: dict[str, Callable[[], Hook]] = {
            "none": lambda: Cast(None),
            "fp16": lambda: Cast(torch.float16),
            "bf16": lambda: Cast(torch.bfloat16),
            "powersgd": lambda: self._low_rank(seed),
            "topk": lambda: self._feedback(TopK(self.options["ratio"]), model, seed),
            "randomk": lambda: self._feedback(RandomK(self.options["ratio"]), model, seed),
            "sign": lambda: self._feedback(Sign(), model, seed),
        }
        hook = makers[self.name]()
        # A lambda: DDP compares annotations with its own class, and here they are strings.
        model.register_comm_hook(hook, lambda hook, bucket: hook(bucket))
        return hook

    def _low_rank(self, seed: int) -> Hook:
        return LowRank(
            PowerSGDState(
                process_group=None,
                matrix_approximation_rank=self.options["rank"],
                start_powerSGD_iter=self.options["start_step"],
                min_compression_rate=self.options["min_compression"],
                use_error_feedback=self.options["error_feedback"],
                warm_start=self.options["warm_start"],
                orthogonalization_epsilon=1e-8,  # a gradient of zeros has no direction to norm
                random_seed=seed,
            )
        )

    def _feedback(self, codec: TopK | RandomK | Sign, model: DistributedDataParallel, seed: int) -> Hook:
        return Feedback(codec, model.module, error_feedback=self.options["error_feedback"], seed=seed)


def compression(name: str, **options: Any) -> Compression:
    """Choose how DDP's gradients are sent.

    Args:
        name: "none"; "fp16" and "bf16" (half of the bytes); "topk" (`ratio` of each parameter's elements, the largest,
            8 bytes each, all-gathered: the message grows with the ranks); "randomk" (`ratio` of them, drawn alike on
            all ranks, 4 bytes each, all-reduced); "sign" (one bit each, all-gathered); "powersgd" (matrices as factors
            of `rank` columns, from step `start_step` on, at least 2; whole where that would save less than a factor
            `min_compression`; `warm_start` begins from the last step's factors).
        **options: as named. All but the first three take `error_feedback` (True): what was not sent is added to the
            next gradient.

    Returns:
        To be given to engine "ddp" as `compression`.

    Raises:
        TrainingSetupError: for an unknown name or option, or a value out of range.

    Source: Lin et al. 2018 (arXiv:1712.01887), Stich et al. 2018 (arXiv:1809.07599), Karimireddy et al. 2019
        (arXiv:1901.09847), Vogels et al. 2019 (arXiv:1905.13727).
    """
    if name not in OPTIONS:
        raise TrainingSetupError.of("compression", name, "is not known", f"use one of {', '.join(OPTIONS)}")
    known = OPTIONS[name]
    for option, value in options.items():
        if option not in known:
            remedy = f"use one of {', '.join(known)}" if known else "leave it out: it has none"
            raise TrainingSetupError.of(option, value, f"is no option of compression {name!r}", remedy)
    chosen = dict(known) | options
    ratio, smallest = chosen.get("ratio", 1.0), chosen.get("min_compression", 1.0)
    if not is_number(ratio) or not 0 < ratio <= 1:
        raise TrainingSetupError.of("ratio", ratio, "must be above 0 and at most 1", "give 0.01 to send 1 % of them")
    if not is_number(smallest) or smallest < 1:
        raise TrainingSetupError.of("min_compression", smallest, "must be at least 1", "give 2 to skip small gains")
    check_count("rank", chosen.get("rank", 1))
    check_count("start_step", chosen.get("start_step", 2), minimum=2)
    for option in ("error_feedback", "warm_start"):
        if not isinstance(chosen.get(option, True), bool):
            raise TrainingSetupError.of(option, chosen[option], "must be True or False", "leave it out for True")
    return Compression(name, chosen)
