"""A matrix in few bits: codes in uint8, a scale for each group of columns, and a product that unpacks block by block.

Three codes: "int8" (symmetric), "int4" (two in a byte, each group with its own scale and smallest value) and "nf4" (two
in a byte, 16 values at the quantiles of a normal distribution).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.moe.errors import MoEError
from course_lib.moe.inference.quantization.codes import SCHEMES, encode, unpack_table

BLOCK_ELEMENTS = 1 << 18  # of a matrix that are unpacked at a time: 1 MB in fp32, which stays in a core's cache


class PackedMatrix(nn.Module):
    """A (rows, columns) matrix as codes, scales and, for "int4", smallest values.

    Args:
        rows, columns: its shape.
        scheme: one of `SCHEMES`.
        group_size: neighboring columns that share a scale; it divides `columns`.

    Buffers: `codes` (rows, columns) of int8, or (rows, columns / 2) of uint8; `scale` (rows, groups) in fp32, for
    "int4" in fp16; `low` (rows, groups) in fp16, for "int4" only.

    Raises:
        MoEError: for an unknown scheme, or a group size that does not divide the columns.

    Source: Dettmers et al. 2023 (arXiv:2305.14314, QLoRA) section 3 and appendix E for NF4; Frantar et al. 2022
        (arXiv:2210.17323) section 4 for groups with a scale and a zero of their own.
    """

    def __init__(self, rows: int, columns: int, scheme: str, group_size: int) -> None:
        super().__init__()
        check_scheme(scheme, columns, group_size)
        self.rows, self.columns, self.scheme, self.group_size = rows, columns, scheme, group_size
        wide = scheme == "int8"
        shape = (rows, columns if wide else columns // 2)
        self.register_buffer("codes", torch.zeros(shape, dtype=torch.int8 if wide else torch.uint8))
        groups = (rows, columns // group_size)
        self.register_buffer("scale", torch.zeros(groups, dtype=torch.float16 if scheme == "int4" else torch.float32))
        self.register_buffer("low", torch.zeros(groups, dtype=torch.float16) if scheme == "int4" else None)

    codes: Tensor
    scale: Tensor
    low: Tensor | None

    @classmethod
    def of(cls, weight: Tensor, scheme: str, group_size: int, name: str = "weight") -> PackedMatrix:
        """Pack a matrix.

        Args:
            weight: (rows, columns) of any floating type, finite.
            scheme, group_size: see the class.
            name: of the weight, for the error.

        Raises:
            MoEError: for numbers that are not finite, or, for "int4", beyond fp16.
        """
        rows, columns = weight.shape
        packed = cls(rows, columns, scheme, group_size)
        if not bool(torch.isfinite(weight).all()):
            raise MoEError.of(name, "NaN or inf", "can't be quantized", "look for the step at which training diverged")
        packed.codes, packed.scale, packed.low = encode(weight.detach(), scheme, group_size)
        if packed.low is not None and not bool((packed.low.isfinite() & packed.scale.isfinite()).all()):
            largest = float(weight.detach().abs().max())
            raise MoEError.of(name, largest, "is more than fp16 holds, in which int4 has its scales", "use 'nf4'")
        return packed

    def unpack(self, start: int, stop: int, dtype: torch.dtype) -> Tensor:
        """Rows `start` up to `stop` as numbers: (stop - start, columns)."""
        codes = self.codes[start:stop]
        if self.scheme == "int8":
            numbers = codes.to(dtype)
        else:
            table = unpack_table(self.scheme, dtype, codes.device)  # (256, 2)
            numbers = F.embedding(codes.int(), table)  # (rows, columns / 2, 2)
        grouped = numbers.view(stop - start, -1, self.group_size)  # (rows, groups, group)
        scale = self.scale[start:stop, :, None].to(dtype)
        if self.low is None:
            grouped = grouped.mul_(scale)
        else:
            grouped = torch.addcmul(self.low[start:stop, :, None].to(dtype), grouped, scale)
        return grouped.view(stop - start, self.columns)

    def forward(self, x: Tensor) -> Tensor:
        """x W^T, unpacking a block of rows at a time: (..., columns) -> (..., rows)."""
        step = max(1, BLOCK_ELEMENTS // self.columns)
        if step >= self.rows:
            return F.linear(x, self.unpack(0, self.rows, x.dtype))
        out = x.new_empty(*x.shape[:-1], self.rows)
        for start in range(0, self.rows, step):
            stop = min(start + step, self.rows)
            out[..., start:stop] = F.linear(x, self.unpack(start, stop, x.dtype))
        return out

    @property
    def bytes_(self) -> int:
        """Bytes of codes, scales and smallest values."""
        return sum(buffer.numel() * buffer.element_size() for buffer in self.buffers())


def check_scheme(scheme: str, columns: int, group_size: int, name: str = "group_size") -> None:
    """Raise `MoEError` unless `scheme` is known and `group_size` divides `columns` into groups of whole bytes."""
    if scheme not in SCHEMES:
        raise MoEError.of("scheme", scheme, "is not known", f"use one of {', '.join(SCHEMES)}")
    if isinstance(group_size, bool) or not isinstance(group_size, int) or group_size < 1 or columns % group_size:
        fitting = [n for n in (32, 64, 128, 16, 8, columns) if columns % n == 0]
        raise MoEError.of(
            name, group_size, f"does not divide a row of {columns} columns", f"use one such as {fitting[0]}"
        )
    if scheme != "int8" and group_size % 2:
        raise MoEError.of(name, group_size, "is odd, but a byte holds two codes", "use an even one, such as 64")
