"""Copies of the elements that a mask selects, on the vector engine.

Source: Neuron documentation 2.32, `nki.isa.tensor_copy_predicated`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from course_lib.nki.constants import engine
from course_lib.nki.dtypes import round_to
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.operands import index_tiles, need_direct, need_one_sbuf_input, need_tile
from course_lib.nki.isa.rules import need_same_layout
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import raw, scalar_of, store

_MASKS = ("uint8", "uint16", "uint32")


def tensor_copy_predicated(
    dst: NkiTensor, src: Any, predicate: NkiTensor, reverse_pred: bool = False, name: str | None = None
) -> NkiInstruction:
    """`dst = src` where the predicate is not zero; the other elements of dst keep their values.

    Args:
        dst: (P, N) tile.
        src: (P, N) tile of the same format, or a number.
        predicate: (P, N) tile of uint8, uint16 or uint32; not in PSUM together with src.
        reverse_pred: copy where the predicate is zero.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for other formats, shapes and places.
    """
    core = current_core()
    need_tile("tensor_copy_predicated", "dst", dst)
    need_tile("tensor_copy_predicated", "predicate", predicate)
    need_same_layout("tensor_copy_predicated", dst, predicate, "dst and predicate")
    if predicate.dtype not in _MASKS:
        raise broken_rule(
            f"tensor_copy_predicated: predicate is {predicate.dtype}",
            limit=", ".join(_MASKS),
            hint="let the comparison write its result to an nl.uint8 tile",
        )
    tiles: tuple[NkiTensor, ...] = (predicate,)
    value: Any = src
    if isinstance(src, NkiTensor):
        need_tile("tensor_copy_predicated", "src", src)
        need_same_layout("tensor_copy_predicated", dst, src, "dst and src")
        need_one_sbuf_input("tensor_copy_predicated", src, predicate, "src and predicate")
        need_direct("tensor_copy_predicated", "src", src)
        if src.dtype != dst.dtype:
            raise broken_rule(
                f"tensor_copy_predicated: src is {src.dtype}, dst {dst.dtype}",
                limit="one format for both",
                hint="cast src with nisa.tensor_copy first",
            )
        tiles = (src, predicate)
    else:
        value = scalar_of(src)
    about = {"elements": dst.size // dst.shape[0], "op": "copy", "operands": (*tiles, dst)}
    reads = (*tiles, *index_tiles(*tiles, dst))
    handle = core.issue("tensor_copy_predicated", engine.vector, reads, (dst,), about)
    if core.options.execute:
        before = raw(dst)
        chosen = raw(predicate).reshape(before.shape) != 0
        if reverse_pred:
            chosen = ~chosen
        fresh = raw(src).reshape(before.shape) if isinstance(src, NkiTensor) else _number(value, before.dtype)
        if dst.indirection is None:
            np.copyto(dst.array, fresh, where=chosen)
        else:
            store(dst, np.where(chosen, fresh, before))
    return handle


def _number(value: float, stored: np.dtype[Any]) -> np.ndarray:
    """A constant in a tile's format."""
    return round_to(np.asarray(value, dtype=np.float32), stored)
