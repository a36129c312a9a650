"""Which rows an expert works on, and the memory that it works in: what the CPU kernels share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 256  # rows that experts with few of them share a pass over the nonlinearity with
FEW = 2  # rows up to which reading a half-precision matrix as it is beats making it fp32 first


@dataclass(frozen=True)
class Chunk:
    """Experts that follow one another, and have rows.

    Args:
        rows: of all of them.
        experts: their numbers.
        counts: rows of each.
    """

    rows: slice
    experts: list[int]
    counts: list[int]


@dataclass(frozen=True)
class Rows:
    """Which tokens each expert works on.

    Args:
        counts: rows of each expert.
        token: (slots,) of int64, the token of each row, sorted by expert; None when row i is token i.
        weight: (slots,), what a row counts in its token's sum; None where nobody sums.
    """

    counts: list[int]
    token: Tensor | None = None
    weight: Tensor | None = None

    def chunks(self) -> list[Chunk]:
        """All experts that have rows, together as long as they have no more than `CHUNK`."""
        found: list[Chunk] = []
        end = 0
        for expert, count in enumerate(self.counts):
            if not count:
                continue
            start, end = end, end + count
            if found and end - found[-1].rows.start <= CHUNK:
                last = found.pop()
                start, experts, counts = last.rows.start, [*last.experts, expert], [*last.counts, count]
            else:
                experts, counts = [expert], [count]
            found.append(Chunk(slice(start, end), experts, counts))
        return found


def working_type(dtype: torch.dtype) -> torch.dtype:
    """The type to multiply in: fp32 for half-precision tensors, unless the CPU has instructions for bf16."""
    if dtype in (torch.float32, torch.float64):
        return dtype
    native = dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return dtype if native else torch.float32


class Scratch:
    """One chunk's operands in the working type; the memory is the same for all chunks.

    Args:
        chunks: all there will be.
        dtype: to work in.
    """

    def __init__(self, chunks: list[Chunk], dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.rows = max((chunk.rows.stop - chunk.rows.start for chunk in chunks), default=0)
        self._held: dict[str, Tensor] = {}

    def new(self, name: str, rows: int, width: int) -> Tensor:
        """(rows, width), whatever was left in it."""
        if name not in self._held:
            self._held[name] = torch.empty(max(rows, self.rows), width, dtype=self.dtype)
        return self._held[name][:rows]

    def matrix(self, name: str, weight: Tensor) -> Tensor:
        """One expert's matrix in the working type: itself, or a copy."""
        if weight.dtype == self.dtype:
            return weight
        if name not in self._held:
            self._held[name] = torch.empty(weight.shape, dtype=self.dtype)
        return self._held[name].copy_(weight)

    def block(self, name: str, x: Tensor) -> Tensor:
        """(rows, width) in the working type: itself, or a copy."""
        return x if x.dtype == self.dtype else self.new(name, *x.shape).copy_(x)

    def gathered(self, name: str, x: Tensor, rows: Rows, chunk: Chunk) -> Tensor:
        """The tokens of a chunk's rows, (rows, width) in the working type."""
        if rows.token is None:
            return self.block(name, x[chunk.rows])
        token = rows.token[chunk.rows]
        if x.dtype != self.dtype:
            return self.block(name, x.index_select(0, token))
        return torch.index_select(x, 0, token, out=self.new(name, len(token), x.shape[1]))

    def project(self, name: str, x: Tensor, weights: Sequence[Tensor], chunk: Chunk, out: Tensor) -> None:
        """x weight^T for the rows of each of a chunk's experts, written into `out`."""
        parts = zip(chunk.experts, torch.split(x, chunk.counts), torch.split(out, chunk.counts), strict=True)
        for expert, x_e, out_e in parts:
            weight = weights[expert]
            if weight.dtype != self.dtype and len(x_e) <= FEW:
                out_e.copy_(F.linear(x_e.to(weight.dtype), weight))
            else:
                torch.mm(x_e, self.matrix(name, weight).t(), out=out_e)

    def back(self, name: str, grad: Tensor, weights: Sequence[Tensor], chunk: Chunk, out: Tensor) -> None:
        """grad weight for the rows of each of a chunk's experts, written into `out`."""
        parts = zip(chunk.experts, torch.split(grad, chunk.counts), torch.split(out, chunk.counts), strict=True)
        for expert, grad_e, out_e in parts:
            torch.mm(grad_e, self.matrix(name, weights[expert]), out=out_e)

    def outer(self, grad: Tensor, x: Tensor, chunk: Chunk, out: Tensor) -> None:
        """grad^T x of the rows of each of a chunk's experts, written into (experts, ...) of any type."""
        parts = zip(chunk.experts, torch.split(grad, chunk.counts), torch.split(x, chunk.counts), strict=True)
        for expert, grad_e, x_e in parts:
            self.multiply(grad_e.t(), x_e, out[expert])

    def multiply(self, a: Tensor, b: Tensor, out: Tensor) -> None:
        """Write a b into a tensor of any type."""
        if out.dtype == self.dtype:
            torch.mm(a, b, out=out)
        else:
            out.copy_(torch.mm(a, b, out=self.new(f"product {out.shape}", *out.shape)))
