"""What a 16-bit format does to gradients, layer by layer, and the loss scale that does least harm.

fp16 has 5 bits of exponent: magnitudes below 6e-8 become 0, those below 6.1e-5 lose digits (subnormal), those above
65,504 become inf. A loss scale moves all gradients up by one factor. bf16 has fp32's exponent and needs none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_lib.distributed.dtensors import local
from course_lib.distributed.errors import check_positive


@dataclass(frozen=True)
class GradientRange:
    """One parameter's gradient as a 16-bit format would hold it; shares are of all its elements.

    Args:
        name: of the parameter.
        elements: how many the gradient has, here.
        zeros: share that is 0 already, such as the rows of an embedding that no token used.
        flushed: share that is not 0 but would become 0.
        subnormal: share that would keep fewer digits.
        overflowing: share that would become inf, or is inf or NaN already.
        max_abs: largest magnitude, before scaling; NaN counts as inf.
    """

    name: str
    elements: int
    zeros: float
    flushed: float
    subnormal: float
    overflowing: float
    max_abs: float


def gradient_ranges(
    named: nn.Module | Iterable[tuple[str, Tensor]], *, scale: float = 1.0, dtype: torch.dtype = torch.float16
) -> list[GradientRange]:
    """Look at each gradient as if it were multiplied by a loss scale and held in a 16-bit format.

    Args:
        named: a model, for its parameters' gradients, or (name, gradient) pairs; any dtype, not scaled.
        scale: the loss scale.
        dtype: torch.float16 or torch.bfloat16.

    Returns:
        One row for each gradient, in the model's order. Of a DTensor only this rank's shard is looked at.

    Raises:
        TrainingSetupError: for a scale that is not above 0.

    Source: Micikevicius et al. 2018 (arXiv:1710.03740), section 3.2 and figure 3.
    """
    check_positive("scale", scale)
    return [_range(name, gradient, scale, dtype) for name, gradient in _gradients(named)]


def loss_scale(
    named: nn.Module | Iterable[tuple[str, Tensor]], *, headroom: float = 8.0, dtype: torch.dtype = torch.float16
) -> float:
    """The largest power of two that leaves headroom above the largest gradient.

    Args:
        named: as in `gradient_ranges`.
        headroom: how many times larger a gradient may become before it overflows. Gradients of activations, which
            nobody sees here, may exceed those of parameters: `OverflowWatch.largest("backward")` knows them.
        dtype: torch.float16; for a dtype with fp32's exponent the answer is 1.

    Returns:
        The scale, a power of two, so that scaling rounds nothing. 1 where all gradients are 0. With inf or NaN among
        the gradients those that are finite decide.

    Raises:
        TrainingSetupError: for a headroom below or equal to 0.

    Source: Micikevicius et al. 2018 (arXiv:1710.03740), section 3.2: a factor such that its product with the largest
        gradient stays below the format's largest value.
    """
    check_positive("headroom", headroom)
    limit = torch.finfo(dtype).max
    if limit > 1e30:
        return 1.0
    largest = 0.0
    for _, gradient in _gradients(named):
        magnitudes = gradient.abs().double()
        finite = magnitudes[torch.isfinite(magnitudes)]
        largest = max(largest, float(finite.max()) if finite.numel() else 0.0)
    return 2.0 ** math.floor(math.log2(limit / headroom / largest)) if largest else 1.0


def _gradients(named: nn.Module | Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    pairs = (
        [(name, p.grad) for name, p in named.named_parameters() if p.grad is not None]
        if isinstance(named, nn.Module)
        else named
    )
    for name, gradient in pairs:
        yield name, local(gradient).detach()


def _range(name: str, gradient: Tensor, scale: float, dtype: torch.dtype) -> GradientRange:
    exact = gradient.double().abs()  # in float64 no scale can overflow or underflow
    held = (exact * scale).to(dtype)
    count = max(1, gradient.numel())
    zeros = int((exact == 0).sum())
    flushed = int((held == 0).sum()) - zeros
    subnormal = int(((held > 0) & (held < torch.finfo(dtype).smallest_normal)).sum())
    overflowing = int((~torch.isfinite(held)).sum())
    largest = float(exact.nan_to_num(nan=math.inf, posinf=math.inf).max()) if gradient.numel() else 0.0
    return GradientRange(
        name, gradient.numel(), zeros / count, flushed / count, subnormal / count, overflowing / count, largest
    )
