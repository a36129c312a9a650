"""What the watch over a model's tensors finds: the first that was not finite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

Phase = Literal["forward", "backward"]


@dataclass(frozen=True)
class Overflow:
    """The first tensor of a step that held inf or NaN.

    Args:
        step: number of the step, counted by the watch.
        rank: where; the lowest of those where it was first. All of them see a gradient that FSDP has summed already.
        phase: "forward" or "backward".
        module: the layer's name, "" for the whole model.
        tensor: which of its tensors: "output", "input" (then the code that calls the layer made it), "weight" or
            another parameter (then an update before broke it), "gradient of input", "gradient of output" or
            "gradient of weight" or another parameter.
        kind: "inf" or "nan".
        dtype: of the tensor.
        max_abs_before: largest magnitude of what went into the layer, or else of what was noted before in this phase.
        also: other layers that share the tensor, such as the three that read an attention's input.
        number: how many tensors were noted before it.
    """

    step: int
    rank: int
    phase: Phase
    module: str
    tensor: str
    kind: Literal["inf", "nan"]
    dtype: torch.dtype
    max_abs_before: float
    also: tuple[str, ...]
    number: int

    def __str__(self) -> str:
        shared = f" (shared with {', '.join(self.also)})" if self.also else ""
        return (
            f"step {self.step}, rank {self.rank}, {self.phase}: the first {self.kind} is in the {self.tensor} of "
            f"{self.module or 'the model'}{shared}, {str(self.dtype).removeprefix('torch.')}; "
            f"largest magnitude before it: {self.max_abs_before:.4g}"
        )
