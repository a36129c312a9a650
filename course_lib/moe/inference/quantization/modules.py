"""Modules over packed matrices, in the places of `nn.Linear` and `Experts`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from course_lib.moe.config import MoEConfig
from course_lib.moe.experts import Experts
from course_lib.moe.inference.quantization.packed import PackedMatrix
from course_lib.moe.inference.touched import run_source


class PackedLinear(nn.Module):
    """`nn.Linear` over a packed matrix.

    Args:
        packed: (out, in).
        bias: (out,) or None.
    """

    def __init__(self, packed: PackedMatrix, bias: Tensor | None) -> None:
        super().__init__()
        self.packed = packed
        self.register_buffer("bias", None if bias is None else bias.detach().clone())

    bias: Tensor | None

    @property
    def in_features(self) -> int:
        """Columns of the matrix."""
        return self.packed.columns

    @property
    def out_features(self) -> int:
        """Rows of the matrix."""
        return self.packed.rows

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        out: Tensor = self.packed(x)
        return out if self.bias is None else out + self.bias


class PackedExperts(nn.Module):
    """`Experts` over packed matrices; one expert is unpacked at a time, just before its matmuls.

    Args:
        config: of the layer.
        up: (experts * 2 inner, hidden), or (experts * inner, hidden) when not gated.
        down: (experts * hidden, inner).
        dtype: in which an expert is unpacked; that of the model.
    """

    def __init__(self, config: MoEConfig, up: PackedMatrix, down: PackedMatrix, dtype: torch.dtype) -> None:
        super().__init__()
        self.config, self.up, self.down, self.dtype = config, up, down, dtype

    @classmethod
    def of(cls, experts: Experts, scheme: str, group_size: int, name: str) -> PackedExperts:
        """Pack the experts of a layer."""
        up = PackedMatrix.of(experts.up.detach().flatten(0, 1), scheme, group_size, f"{name}.up")
        down = PackedMatrix.of(experts.down.detach().flatten(0, 1), scheme, group_size, f"{name}.down")
        return cls(experts.config, up, down, experts.up.dtype)

    def matrices(self, expert: int) -> tuple[Tensor, Tensor]:
        """One expert's `up` (2 inner or inner, hidden) and `down` (hidden, inner), unpacked."""
        both = []
        for packed in (self.up, self.down):
            rows = packed.rows // self.config.experts
            both.append(packed.unpack(expert * rows, (expert + 1) * rows, self.dtype))
        return both[0], both[1]

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """(slots, hidden) sorted by expert, (experts,) rows of each -> (slots, hidden)."""
        return run_source(self, x, counts)
