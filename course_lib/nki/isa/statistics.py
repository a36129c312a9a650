"""Mean and variance on the vector engine, in two steps.

Source: Neuron documentation 2.32, `nki.isa.bn_stats`, `bn_aggr`.
"""

from __future__ import annotations

import numpy as np

from course_lib.nki.constants import engine
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.operands import need_tile
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import as_float32, store

MOST_ELEMENTS = 512  # nl.tile_size.bn_stats_fmax
_STATS = 6
_TUPLE = 3


def bn_stats(dst: NkiTensor, data: NkiTensor, name: str | None = None) -> NkiInstruction:
    """For each partition (count, mean, variance · count) of the even elements, then of the odd elements.

    Args:
        dst: (P, 6) tile.
        data: (P, N) tile, N up to 512.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for more elements, or another shape of dst.
    """
    core = current_core()
    need_tile("bn_stats", "dst", dst)
    need_tile("bn_stats", "data", data)
    count = data.size // data.shape[0]
    if count > MOST_ELEMENTS:
        raise broken_rule(
            f"bn_stats: data {data.shape} has {count:,} elements for each partition",
            limit=f"{MOST_ELEMENTS} (nl.tile_size.bn_stats_fmax)",
            hint="call bn_stats on slices of 512 and aggregate all of them with one bn_aggr",
        )
    _need_elements("bn_stats", dst, data, _STATS)
    about = {"elements": count, "op": "bn_stats", "operands": (data, dst)}
    handle = core.issue("bn_stats", engine.vector, (data,), (dst,), about)
    if core.options.execute:
        values = as_float32(data).reshape(data.shape[0], -1)
        result = np.zeros((len(values), _STATS), dtype=np.float32)
        for first in (0, 1):
            half = values[:, first::2]
            if half.shape[1]:
                mean = half.mean(axis=1, keepdims=True)
                result[:, 3 * first] = half.shape[1]
                result[:, 3 * first + 1] = mean[:, 0]
                result[:, 3 * first + 2] = np.square(half - mean).sum(axis=1)
        store(dst, result)
    return handle


def bn_aggr(dst: NkiTensor, data: NkiTensor, name: str | None = None) -> NkiInstruction:
    """For each partition the mean and the variance (divided by the count) from the results of `bn_stats`.

    Args:
        dst: (P, 2) tile: mean, variance.
        data: (P, 3·k) tile of (count, mean, variance · count).
        name: a name for the instruction.

    Raises:
        NkiValidationError: for other numbers of elements.
    """
    core = current_core()
    need_tile("bn_aggr", "dst", dst)
    need_tile("bn_aggr", "data", data)
    elements = data.size // data.shape[0]
    if elements % _TUPLE:
        raise broken_rule(
            f"bn_aggr: data {data.shape} has {elements} elements for each partition",
            limit="a multiple of 3: (count, mean, variance * count) each",
            hint="bn_stats writes 6 elements for each partition",
        )
    _need_elements("bn_aggr", dst, data, 2)
    handle = core.issue(
        "bn_aggr", engine.vector, (data,), (dst,), {"elements": elements, "op": "bn_aggr", "operands": (data, dst)}
    )
    if core.options.execute:
        groups = as_float32(data).reshape(data.shape[0], -1, _TUPLE)
        counts, means, squares = groups[..., 0], groups[..., 1], groups[..., 2]
        total = counts.sum(axis=1, keepdims=True)
        mean = (counts * means).sum(axis=1, keepdims=True) / total
        spread = squares + counts * np.square(means - mean)
        store(dst, np.concatenate([mean, spread.sum(axis=1, keepdims=True) / total], axis=1))
    return handle


def _need_elements(op: str, dst: NkiTensor, data: NkiTensor, count: int) -> None:
    if dst.shape[0] != data.shape[0] or dst.size != count * dst.shape[0]:
        raise broken_rule(
            f"{op}: dst has shape {dst.shape}, data {data.shape}", limit=f"dst of shape ({data.shape[0]}, {count})"
        )
