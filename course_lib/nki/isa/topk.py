"""The K largest values of a tile that 16 partitions hold together.

Source: Neuron documentation 2.32, `nki.isa.topk`.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from course_lib.nki.constants import engine
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.gather import GROUP
from course_lib.nki.isa.operands import index_tiles
from course_lib.nki.isa.rules import SBUF, need_buffer, need_tensor
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import as_float32, store


def topk(val_dst: NkiTensor, idx_dst: NkiTensor, src: NkiTensor, n: int, name: str | None = None) -> NkiInstruction:
    """The K largest of the first n elements of each 16 partitions, in ascending order, with their numbers.

    Element i of a group of 16 partitions lies in its partition i % 16, column i // 16. The documentation gives a result
    for each partition; here all 16 of a group get the group's. Of equal values, whose order is not documented, those
    with the lower number are taken first.

    Args:
        val_dst: (P, K) tile of bfloat16 in SBUF.
        idx_dst: (P, K) tile of uint32 in SBUF.
        src: (P, N) tile of bfloat16 in SBUF, P a multiple of 16 and N at least n / 16.
        n: elements of each group, 8 to 65,535.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for shapes, regions or formats that don't fit.
    """
    core = current_core()
    formats = (("val_dst", val_dst, "bfloat16"), ("idx_dst", idx_dst, "uint32"), ("src", src, "bfloat16"))
    for role, tile, wanted in formats:
        need_buffer("topk", role, need_tensor("topk", role, tile), SBUF, "GpSimd reaches SBUF only")
        if tile.dtype != wanted:
            raise broken_rule(f"topk: {role} is {tile.dtype}", limit=wanted, hint="cast with nisa.tensor_copy")
    partitions, count = src.shape[0], _count(n)
    if partitions % GROUP or val_dst.shape[0] != partitions or idx_dst.shape[0] != partitions:
        raise broken_rule(
            f"topk: val_dst {val_dst.shape}, idx_dst {idx_dst.shape}, src {src.shape}",
            limit=f"the same number of partitions in all, a multiple of {GROUP}",
        )
    width = src.size // partitions
    if width * GROUP < count:
        raise broken_rule(f"topk: src has {width} columns for n={count}", limit=f"at least {-(-count // GROUP)}")
    k = val_dst.size // partitions
    if idx_dst.size != val_dst.size or k > count or k >= 32_768:
        raise broken_rule(
            f"topk: val_dst {val_dst.shape}, idx_dst {idx_dst.shape} with n={count}",
            limit="the same K in both, at most n and below 32,768",
        )
    about = {"elements": width, "n": count, "k": k, "operands": (src, val_dst)}
    reads = (src, *index_tiles(src, val_dst, idx_dst))
    handle = core.issue("topk", engine.gpsimd, reads, (val_dst, idx_dst), about)
    if core.options.execute:
        groups = partitions // GROUP
        # (groups, 16, N) -> (groups, n): along the partitions first
        values = as_float32(src).reshape(groups, GROUP, width).transpose(0, 2, 1).reshape(groups, -1)[:, :count]
        order = np.argsort(-values, axis=1, kind="stable")[:, :k][:, ::-1]
        best = np.take_along_axis(values, order, axis=1)
        store(val_dst, np.repeat(best, GROUP, axis=0).reshape(val_dst.shape))
        store(idx_dst, np.repeat(order, GROUP, axis=0).reshape(idx_dst.shape))
    return handle


def _count(value: Any) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        count = 0
    if not 8 <= count < 65_536:
        raise broken_rule(f"topk: n={value!r}", limit="a whole number from 8 to 65,535")
    return count
