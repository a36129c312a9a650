"""Numbers to codes of 8 or 4 bits."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

SCHEMES = ("int8", "int4", "nf4")
# The 16 values of NF4: quantiles of a normal distribution, scaled into [-1, 1], with an exact zero (QLoRA, appendix E).
NF4 = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)


def encode(weight: Tensor, scheme: str, group_size: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Codes, scales and smallest values of a matrix.

    Args:
        weight: (rows, columns), finite.
        scheme: "int8": round(w / scale) with scale = absmax / 127; "int4": round((w - low) / scale) with scale = (high
            - low) / 15; "nf4": the nearest of 16 values times scale = absmax.
        group_size: divides columns.

    Returns:
        Codes (rows, columns) of int8 or (rows, columns / 2) of uint8, the first of two in the high half; scales (rows,
        groups); smallest values (rows, groups) or None.
    """
    grouped = weight.float().unflatten(1, (-1, group_size))  # type: ignore[no-untyped-call]  # (rows, groups, group)
    if scheme == "int4":
        low = grouped.amin(-1, keepdim=True).half()  # (rows, groups, 1)
        scale = _divided(grouped.amax(-1, keepdim=True) - low.float(), 15).half()
        # Codes are made with the rounded scale, the one that will unpack them.
        codes = ((grouped - low.float()) / _nonzero(scale.float())).round().clamp(0, 15)
        return _pairs(codes.flatten(1)), scale.squeeze(-1), low.squeeze(-1)
    largest = grouped.abs().amax(-1, keepdim=True)  # (rows, groups, 1)
    if scheme == "int8":
        scale = _divided(largest, 127)
        codes = (grouped / _nonzero(scale)).round().clamp(-127, 127)
        return codes.flatten(1).to(torch.int8), scale.squeeze(-1), None
    values = torch.tensor(NF4, device=weight.device)
    middles = (values[1:] + values[:-1]) / 2  # (15,)
    codes = torch.bucketize(grouped / _nonzero(largest), middles)
    return _pairs(codes.flatten(1)), largest.squeeze(-1), None


def _divided(x: Tensor, number: float) -> Tensor:
    """x / number, rounded alike on every device: by a plain number a GPU divides as x * (1 / number)."""
    return x / torch.full_like(x, number)


def _nonzero(scale: Tensor) -> Tensor:
    """A group of equal numbers has scale 0; anything divides its differences, which are 0."""
    return torch.where(scale == 0, torch.ones_like(scale), scale)


def _pairs(codes: Tensor) -> Tensor:
    """(rows, columns) of 0..15 -> (rows, columns / 2) of uint8."""
    whole = codes.to(torch.uint8)
    return (whole[:, 0::2] << 4) | whole[:, 1::2]


@functools.cache
def unpack_table(scheme: str, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(256, 2): the two numbers of each byte, so that unpacking is one look-up."""
    values = torch.tensor(NF4 if scheme == "nf4" else range(16), dtype=torch.float32, device=device)  # (16,)
    byte = torch.arange(256, device=device)
    return torch.stack((values[byte >> 4], values[byte & 15]), dim=1).to(dtype)
