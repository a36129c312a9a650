"""What the compute instructions share: checks of tiles and operators, and operands with one number a partition.

Source: Neuron documentation 2.32, "NKI ISA API common fields" and the `nki.isa` pages.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from course_lib.nki.constants import nc_version, reduce_cmd
from course_lib.nki.errors import broken_rule
from course_lib.nki.indirection import SnakeGather
from course_lib.nki.isa.rules import PSUM, SBUF, tile_hint
from course_lib.nki.operators import OPS, Op, as_op
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import as_float32, raw, scalar_of, store

_INSTEAD = {
    "divide": "multiply by nisa.reciprocal's result",
    "copy": "use nisa.tensor_copy",
    "exp": "use nisa.activation(op=nl.exp, ...)",
}


def need_tile(op: str, role: str, tile: Any) -> NkiTensor:
    """Refuses anything but a tile on chip whose elements an engine can compute with."""
    if isinstance(tile, NkiTensor):
        if (tile.buffer is SBUF or tile.buffer is PSUM) and not tile.dtype.is_packed:
            return tile
        if tile.dtype.is_packed:
            raise broken_rule(
                f"{op}: {role} {tile.name} is {tile.dtype}",
                limit="only the tensor engine and quantize_mx read packed formats",
                hint="view it as one of its elements' formats",
            )
        raise broken_rule(
            f"{op}: {role} {tile.name} is in {tile.buffer.value}",
            limit="compute engines read and write SBUF and PSUM",
            hint="bring it on chip with nisa.dma_copy first",
        )
    raise broken_rule(f"{op}: {role} is {type(tile).__name__}", limit="a tile", hint=tile_hint(tile))


def need_column(op: str, role: str, tile: Any, partitions: int) -> NkiTensor:
    """Refuses anything but a tile with one element in each of `partitions` partitions."""
    need_tile(op, role, tile)
    shape = tile.shape
    if shape != (partitions, 1) and (shape[0] != partitions or math.prod(shape) != partitions):
        raise broken_rule(
            f"{op}: {role} has shape {shape}",
            limit=f"({partitions}, 1): one element for each partition",
            hint="slice one column: tile[:, i:i + 1]",
        )
    need_direct(op, role, tile)
    return tile  # type: ignore[no-any-return]


def need_direct(op: str, role: str, tile: Any) -> None:
    """Refuses `.indirect()` views where the engine has no gather."""
    if isinstance(tile, NkiTensor) and type(tile.indirection) is SnakeGather:
        raise broken_rule(
            f"{op}: {role} is an indirect view of {tile.name}",
            limit=f"{role} cannot be gathered or scattered",
            hint="gather it into a tile of its own first, with nisa.tensor_copy",
        )


def need_one_sbuf_input(op: str, first: NkiTensor, second: NkiTensor, roles: str) -> None:
    """Refuses two inputs in PSUM."""
    if first.buffer is PSUM and second.buffer is PSUM:
        raise broken_rule(
            f"{op}: {roles} are both in PSUM",
            limit="at most one input in PSUM",
            hint="copy one of them to SBUF with nisa.tensor_copy",
        )


def index_tiles(*tensors: NkiTensor) -> tuple[NkiTensor, ...]:
    """The tiles that indirect views look their indices up in."""
    found: tuple[NkiTensor, ...] = ()
    for tensor in tensors:
        if tensor.indirection is not None:
            found += tensor.indirection.indices()
    return found


def alu_op(op: str, role: str, value: Any, version: nc_version, *, binary: bool = False, bits: bool = True) -> Op:
    """An operator of the vector engine's table.

    Args:
        op, role: instruction and argument, for the message.
        value: what the kernel passed.
        version: the generation.
        binary: accept operators of two inputs alone.
        bits: accept bit operators too.

    Raises:
        NkiValidationError: for anything that the engine of this generation does not have.
    """
    found = as_op(value)
    if found is not None and found.alu and (found.inputs == 2 or not binary) and (bits or not found.bits):
        if version < found.since:
            raise broken_rule(
                f"{op}: {role}=nl.{found.name}",
                limit=f"from NeuronCore-v{int(found.since)}",
                generation=version.name,
                hint="use nisa.activation" if found.inputs == 1 else "combine nl.abs, nl.maximum and nl.minimum",
            )
        return found
    kinds = ", ".join(
        f"nl.{each.name}"
        for each in OPS.values()
        if each.alu and (each.inputs == 2 or not binary) and (bits or not each.bits) and each.since <= version
    )
    name = getattr(value, "__name__", "")
    hint = _INSTEAD.get(found.name, "") if found is not None else f"use nl.{name}" if name in OPS else ""
    raise broken_rule(f"{op}: {role}={value!r}", limit=kinds, hint=hint)


def operand(op: str, role: str, value: Any, data: NkiTensor, *, bits: bool = False) -> Any:
    """A number, or a tile with one number for each partition of `data`.

    Bit operators take integers. For arithmetic the documentation asks for float32; the official kernel library passes
    bfloat16 tiles as well, and integer tiles with integer data, so those are taken too.

    Raises:
        NkiValidationError: for other shapes, places and formats.
    """
    if not isinstance(value, NkiTensor):
        number = scalar_of(value)
        if not bits:
            return number
        if number != int(number):
            raise broken_rule(f"{op}: {role}={value!r}", limit="a whole number, since the operator works on bits")
        return int(value)
    need_column(op, role, value, data.shape[0])
    if bits and not value.dtype.is_integer:
        raise broken_rule(f"{op}: {role} is {value.dtype}", limit="an integer format, since the operator works on bits")
    if not bits and value.dtype.is_integer and not data.dtype.is_integer:
        raise broken_rule(
            f"{op}: {role} is {value.dtype} and data is {data.dtype}",
            limit="float32 operands for arithmetic operators",
            hint="cast the operand to nl.float32 with nisa.tensor_copy",
        )
    return value


def initial_operand(op: str, role: str, command: reduce_cmd, value: Any, data: NkiTensor) -> Any:
    """Where load_reduce starts: a number or a float32 (P, 1) tile; nothing for the other commands.

    Raises:
        NkiValidationError: when it is missing, or given to another command.
    """
    if command is not reduce_cmd.load_reduce:
        if value is not None and (isinstance(value, NkiTensor) or value != 0.0):
            raise broken_rule(f"{op}: {role}={value!r} with reduce_cmd.{command.name}", limit="only with load_reduce")
        return 0.0
    if value is None:
        raise broken_rule(f"{op}: reduce_cmd.load_reduce without {role}", limit="a number or a (P, 1) float32 tile")
    found = operand(op, role, value, data)
    if isinstance(found, NkiTensor) and found.dtype != "float32":
        raise broken_rule(f"{op}: {role} is {found.dtype}", limit="float32")
    return found


def broadcast(value: Any, dims: int) -> Any:
    """An operand in a form that NumPy broadcasts along the free dimensions of `dims`-dimensional data, in float32."""
    if isinstance(value, NkiTensor):
        values = as_float32(value)
        return values if values.ndim == dims else values.reshape(len(values), *[1] * (dims - 1))
    return np.float32(value)


def apply(op: Op, left: Any, right: Any, reverse: bool = False, out: np.ndarray | None = None) -> Any:
    """`left <op> right`, or the other way round; `out` receives the result where NumPy can write in place.

    Comparisons come back as float32, as the engine hands them on.
    """
    args = (left,) if op.inputs == 1 else (right, left) if reverse else (left, right)
    if op.compute is None:  # bypass
        return left
    if out is not None and op.ufunc is not None:
        return op.ufunc(*args, out=out, casting="unsafe")
    made = op.compute(*args)
    return made.astype(np.float32) if made.dtype == bool else made


def in_place(dst: NkiTensor, shape: tuple[int, ...]) -> np.ndarray | None:
    """The array that a float32 result of this shape may be computed into directly; None when it must be rounded.

    A view that repeats its elements (stride 0) is no such place: what is computed must still be there to be reduced.
    """
    target = dst.array
    if dst.indirection is None and dst.dtype == "float32" and target.shape == shape and 0 not in target.strides:
        return target
    return None


def broadcast_bits(value: Any, like: np.ndarray) -> Any:
    """The same for bit operators: the operand in the data's integer type, bit by bit."""
    if isinstance(value, NkiTensor):
        return raw(value).reshape(value.shape[0], *[1] * (like.ndim - 1)).astype(like.dtype)
    width = 8 * like.itemsize
    return np.array(value & ((1 << width) - 1), dtype=f"u{like.itemsize}").view(like.dtype)


def store_bits(dst: NkiTensor, values: np.ndarray) -> None:
    """Writes bit patterns: no rounding and no saturation, the lowest bits are kept."""
    store(dst, values.astype(dst.array.dtype))


def need_integers(op: str, **tiles: NkiTensor) -> None:
    """Refuses float formats for bit operators."""
    for role, tile in tiles.items():
        if not tile.dtype.is_integer:
            raise broken_rule(
                f"{op}: {role} is {tile.dtype}",
                limit="integer formats, since the operator works on bits",
                hint="reinterpret the tile as integers with .view(nl.uint32)",
            )
