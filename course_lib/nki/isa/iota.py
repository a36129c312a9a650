"""Affine patterns: constants generated from indices, and selection by the sign of an affine expression.

Source: Neuron documentation 2.32, `nki.isa.iota`, `affine_select`.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from course_lib.nki.constants import engine
from course_lib.nki.dtypes import round_to
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.operands import index_tiles
from course_lib.nki.isa.rules import SBUF, need_buffer, need_same_layout, need_tensor
from course_lib.nki.operators import as_op, equal
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import as_float32, raw, scalar_of, store

_COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")


def iota(
    dst: NkiTensor,
    pattern: Sequence[Sequence[int]],
    offset: int = 0,
    channel_multiplier: int = 0,
    name: str | None = None,
) -> NkiInstruction:
    """Fills a tile with `offset + partition * channel_multiplier + sum of index * step`, in 32-bit integers.

    Args:
        dst: tile in SBUF, of any format.
        pattern: up to four pairs [step, count], outermost first; the counts multiply to the elements of a partition.
        offset: added to every value.
        channel_multiplier: times the number of the partition.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for a pattern that does not fit, or a tile outside SBUF.
    """
    core = current_core()
    need_buffer("iota", "dst", need_tensor("iota", "dst", dst), SBUF, "GpSimd reaches SBUF only")
    pairs = affine_pairs("iota", pattern, dst)
    start, step = _int32("iota", "offset", offset), _int32("iota", "channel_multiplier", channel_multiplier)
    about = {"elements": dst.size // dst.shape[0], "operands": (dst,)}
    handle = core.issue("iota", engine.gpsimd, index_tiles(dst), (dst,), about)
    if core.options.execute:
        column, row = affine_parts(pairs, dst.shape[0], start, step)
        if dst.dtype in ("float32", "int32") and dst.indirection is None and dst.memory.ndim == 2:
            np.add(column, row, out=dst.array, dtype=np.int32, casting="unsafe")
        else:
            store(dst, (column + row).reshape(dst.shape))
    return handle


def affine_select(
    dst: NkiTensor,
    pattern: Sequence[Sequence[int]],
    channel_multiplier: int,
    on_true_tile: NkiTensor,
    on_false_value: float,
    cmp_op: Any = equal,
    offset: int = 0,
    name: str | None = None,
) -> NkiInstruction:
    """`dst = on_true_tile` where `affine <cmp_op> 0`, else `on_false_value`; the affine value is as in `iota`.

    Args:
        dst, on_true_tile: (P, N) tiles in SBUF.
        pattern, channel_multiplier, offset: the affine expression, see `iota`.
        on_false_value: a number.
        cmp_op: a comparison of `nki.language`.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for a pattern that does not fit, another operator, or a tile outside SBUF.
    """
    core = current_core()
    for role, tile in (("dst", dst), ("on_true_tile", on_true_tile)):
        need_buffer("affine_select", role, need_tensor("affine_select", role, tile), SBUF, "GpSimd reaches SBUF only")
    need_same_layout("affine_select", dst, on_true_tile, "dst and on_true_tile")
    compare = _comparison("affine_select", "cmp_op", cmp_op)
    pairs = affine_pairs("affine_select", pattern, dst)
    start = _int32("affine_select", "offset", offset)
    step = _int32("affine_select", "channel_multiplier", channel_multiplier)
    other = scalar_of(on_false_value)
    about = {"elements": dst.size // dst.shape[0], "op": compare, "operands": (on_true_tile, dst)}
    reads = (on_true_tile, *index_tiles(dst, on_true_tile))
    handle = core.issue("affine_select", engine.gpsimd, reads, (dst,), about)
    if core.options.execute:
        column, row = affine_parts(pairs, dst.shape[0], start, step)
        predicate = getattr(np, compare)(column + row, 0).reshape(dst.shape)
        false = np.asarray(other, dtype=np.float32)
        if dst.dtype == on_true_tile.dtype:
            store(dst, np.where(predicate, raw(on_true_tile).reshape(dst.shape), round_to(false, dst.array.dtype)))
        else:
            store(dst, np.where(predicate, as_float32(on_true_tile).reshape(dst.shape), false))
    return handle


def affine_pairs(op: str, pattern: Any, dst: NkiTensor) -> list[tuple[int, int]]:
    """A checked pattern.

    Raises:
        NkiValidationError: when it has no one to four pairs, or the counts don't multiply to `dst`'s elements.
    """
    try:
        pairs = [(operator.index(step), operator.index(count)) for step, count in pattern]
    except (TypeError, ValueError):
        raise broken_rule(
            f"{op}: pattern={pattern!r}",
            limit="pairs of whole numbers [[step, count], ...], outermost first",
            hint="nl.arange(512)[None, :] of old versions is now pattern=[[1, 512]]",
        ) from None
    total = 1
    for _, count in pairs:
        total *= count
    if not 1 <= len(pairs) <= 4 or min(count for _, count in pairs) < 1:
        raise broken_rule(f"{op}: pattern={pattern!r}", limit="one to four pairs, with counts of 1 or more")
    if total != dst.size // dst.shape[0]:
        raise broken_rule(
            f"{op}: pattern={pattern!r} makes {total} elements for each partition",
            limit=f"{dst.size // dst.shape[0]}, as dst has with shape {dst.shape}",
            hint="the partition is not part of the pattern: use channel_multiplier for it",
        )
    return pairs


def affine_parts(pairs: list[tuple[int, int]], partitions: int, start: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    """The affine expression as a column (partitions, 1) plus a row (elements,), in 32-bit integers."""
    row = np.zeros(1, dtype=np.int64)
    for each, count in pairs:
        row = (row[:, None] + np.arange(count) * each).reshape(-1)
    column = start + np.arange(partitions).reshape(-1, 1) * step
    return column.astype(np.int32), row.astype(np.int32)


def _int32(op: str, role: str, value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise broken_rule(f"{op}: {role}={value!r}", limit="a whole number") from None
    if not -(2**31) <= number < 2**31:
        raise broken_rule(f"{op}: {role}={number}", limit="32-bit integers")
    return number


def _comparison(op: str, role: str, value: Any) -> str:
    found = as_op(value)
    if found is None or found.name not in _COMPARISONS:
        raise broken_rule(f"{op}: {role}={value!r}", limit=", ".join(f"nl.{name}" for name in _COMPARISONS))
    return found.name
