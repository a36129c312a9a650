"""What a step starts from: the parameters that have a gradient, their local parts, and a check of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from course_lib.distributed.dtensors import local
from course_lib.distributed.optimizers.shards import global_norms, local_gradient


class NonFiniteGradientError(ArithmeticError):
    """A gradient holds inf or NaN, so that the step would spoil the parameters and the optimizer's memory of them."""


@dataclass(frozen=True)
class Gathered:
    """One parameter group's tensors that take part in a step, index by index.

    Args:
        parameters: as the optimizer got them, any shapes; DTensors under FSDP2.
        weights: what this rank holds of each, in float32 or wider: the parameter's own memory where that
            is wide enough.
        gradients: of what this rank holds, in the same dtype.
    """

    parameters: list[Tensor]
    weights: list[Tensor]
    gradients: list[Tensor]

    def write_back(self) -> None:
        """Round the updated weights into parameters of fewer bits; wide ones were updated in place."""
        for parameter, weight in zip(self.parameters, self.weights, strict=True):
            if parameter.dtype != weight.dtype:
                local(parameter).copy_(weight)


def gather(group: Mapping[str, Any]) -> Gathered:
    """Collect a group's parameters that have a gradient.

    Args:
        group: one of an optimizer's `param_groups`; "check_finite" says whether gradients are looked at.

    Returns:
        Parameters, their local parts and local gradients.

    Raises:
        TypeError: for sparse or complex gradients.
        NonFiniteGradientError: when "check_finite" holds and a gradient has inf or NaN, on every rank that shares it
            and before anything is changed.
    """
    names = group.get("param_names") or [f"parameter {number}" for number in range(len(group["params"]))]
    chosen = [(name, p) for name, p in zip(names, group["params"], strict=True) if p.grad is not None]
    for name, parameter in chosen:
        if parameter.grad.is_sparse:
            raise TypeError(f"the gradient of {name} is sparse. Remedy: nn.Embedding(..., sparse=False).")
        if not parameter.is_floating_point():
            raise TypeError(f"{name} has dtype {parameter.dtype}. Remedy: give floating-point parameters alone.")
    parameters = [parameter for _, parameter in chosen]
    gathered = Gathered(
        parameters, [_wide(local(p)) for p in parameters], [_wide(local_gradient(p)) for p in parameters]
    )
    if group["check_finite"] and parameters:
        norms = global_norms(gathered.gradients, parameters)  # (parameters,)
        if not torch.isfinite(norms.sum()):
            _report([name for name, _ in chosen], gathered, norms)
    return gathered


def _report(names: list[str], gathered: Gathered, norms: Tensor) -> None:
    """Raise for the gradients that are not finite, unless the norms merely outgrew float32."""
    broken = [n for n, finite in zip(names, torch.isfinite(norms).tolist(), strict=True) if not finite]
    if not broken:
        return
    shown = ", ".join(broken[:3]) + (f" and {len(broken) - 3} more" if len(broken) > 3 else "")
    raise NonFiniteGradientError(
        f"the gradient holds inf or NaN (or its norm exceeds float32) in {shown}. Nothing was changed. Remedy: find "
        "the layer with OverflowWatch; in fp16 step through a GradScaler, which skips such steps."
    )


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype to compute in: float32, or float64 for float64."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def zeros_for(parameter: Tensor) -> Tensor:
    """Zeros of a parameter's shape and layout, in float32 or wider."""
    return torch.zeros_like(parameter, dtype=wide_dtype(parameter.dtype), memory_format=torch.preserve_format)


def _wide(tensor: Tensor) -> Tensor:
    return tensor.to(wide_dtype(tensor.dtype))
