"""Microscaling on NeuronCore-v4: quantization on the vector engine, multiplication on the tensor engine.

Source: Neuron documentation 2.32, `nki.isa.quantize_mx`, `nc_matmul_mx`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from course_lib.nki.constants import engine, nc_version
from course_lib.nki.errors import broken_rule
from course_lib.nki.indirection import SnakeGather, for_tensor_engine
from course_lib.nki.isa.operands import index_tiles
from course_lib.nki.isa.rules import PSUM, SBUF, need_buffer, need_tensor
from course_lib.nki.microscaling import (
    ELEMENTS,
    MAX_EXPONENT,
    SCALES,
    block_exponents,
    dequantised,
    factors,
    pack,
    write_exponents,
)
from course_lib.nki.psum import accumulates
from course_lib.nki.session import Core, NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import as_float32, store


def quantize_mx(dst: NkiTensor, src: NkiTensor, dst_scale: NkiTensor, name: str | None = None) -> NkiInstruction:
    """Quantizes blocks of 8 partitions by 4 elements to 8-bit floats with one power of two each. NeuronCore-v4 on.

    The power is 2 ** (floor(log2(largest magnitude)) - (largest exponent of the format - 1)), and 2 ** -127 for zeros.

    Args:
        dst: (P, N / 4) tile of float8_e4m3fn_x4 or float8_e5m2_x4 in SBUF.
        src: (P, N) tile of float16 or bfloat16 in SBUF, P 32, 64, 96 or 128.
        dst_scale: tile of float8_e8m0fnu or uint8 in SBUF with N / 4 columns; the scales take four partitions of each
            quadrant, from 0, 4, 8 or 12 on.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for shapes, regions or formats that the engine does not have, and before NeuronCore-v4.
    """
    core = current_core()
    _need_v4("quantize_mx", core)
    for role, tile in (("dst", dst), ("src", src), ("dst_scale", dst_scale)):
        need_buffer("quantize_mx", role, need_tensor("quantize_mx", role, tile), SBUF, "copy it with nisa.tensor_copy")
    if src.dtype not in ("float16", "bfloat16"):
        raise broken_rule(f"quantize_mx: src is {src.dtype}", limit="float16 or bfloat16")
    if dst.dtype not in MAX_EXPONENT:
        raise broken_rule(f"quantize_mx: dst is {dst.dtype}", limit=", ".join(MAX_EXPONENT))
    partitions, count = src.shape[0], src.size // src.shape[0]
    _need_quadrants("quantize_mx", "src", src)
    if count % 4:
        raise broken_rule(f"quantize_mx: src has {count} elements in each partition", limit="a multiple of 4")
    if dst.shape[0] != partitions or dst.size * 4 != src.size:
        raise broken_rule(f"quantize_mx: dst has shape {dst.shape}", limit=f"({partitions}, {count // 4})")
    scales = _scale_views("quantize_mx", "dst_scale", dst_scale, partitions, count // 4)
    about = {"elements": count, "operands": (src, dst)}
    handle = core.issue("quantize_mx", engine.vector, (src, *index_tiles(src)), (dst, *scales), about)
    if core.options.execute:
        values = as_float32(src).reshape(partitions, count)
        exponents = block_exponents(values, MAX_EXPONENT[dst.dtype])
        powers = np.repeat(np.repeat(factors(exponents), 8, axis=0), 4, axis=1)
        store(dst, pack(values / powers, dst.dtype).reshape(dst.shape))
        write_exponents(dst_scale, exponents)
    return handle


def nc_matmul_mx(
    dst: NkiTensor,
    stationary: NkiTensor,
    moving: NkiTensor,
    stationary_scale: NkiTensor,
    moving_scale: NkiTensor,
    tile_position: tuple[int, int] | None = None,
    tile_size: tuple[int, int] | None = None,
    accumulate: bool | None = None,
    name: str | None = None,
) -> NkiInstruction:
    """`dst = stationary.T @ moving`, or `dst += ...`, of packed 4- or 8-bit floats with their scales. NeuronCore-v4 on.

    The contraction runs over the partitions and over the four numbers of each packed element.

    Args:
        dst: (M, N) tile in PSUM, float32 or bfloat16.
        stationary: (K, M) tile of a packed format in SBUF, K 32, 64, 96 or 128, M even and up to 128.
        moving: (K, N) tile of a packed format in SBUF, N up to 4096, or 8192 with a bfloat16 result.
        stationary_scale, moving_scale: their scales, laid out as `quantize_mx` writes them.
        tile_position, tile_size: row tile of the systolic array; columns are always (0, 128).
        accumulate: as for `nc_matmul`.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for shapes, regions or formats that the engine does not have, and before NeuronCore-v4.
    """
    core = current_core()
    _need_v4("nc_matmul_mx", core)
    need_buffer("nc_matmul_mx", "dst", need_tensor("nc_matmul_mx", "dst", dst), PSUM, "allocate it with buffer=nl.psum")
    stationary, stationary_scale = _pair("stationary", stationary, stationary_scale)
    moving, moving_scale = _pair("moving", moving, moving_scale)
    dst = for_tensor_engine(dst)
    if dst.dtype not in ("float32", "bfloat16"):
        raise broken_rule(f"nc_matmul_mx: dst is {dst.dtype}", limit="float32 or bfloat16")
    k, m, n = _check_shapes(dst, stationary, moving, core)
    scales = (
        *_scale_views("nc_matmul_mx", "stationary_scale", stationary_scale, k, m),
        *_scale_views("nc_matmul_mx", "moving_scale", moving_scale, k, n),
    )
    _check_tile(tile_position, tile_size, k, (dst, stationary, moving))
    adds = accumulates(dst, accumulate, core.version, core.options.execute)
    about = {
        "k": 4 * k,
        "m": m,
        "n": n,
        "flops": 8 * k * m * n,
        "transpose": False,
        "onezero": False,
        "double_row": False,
        "tile_size": tuple(tile_size or ()),
        "operands": (stationary, moving, dst),
    }
    reads = (stationary, moving, *scales, *index_tiles(dst, stationary, moving))
    handle = core.issue("nc_matmul_mx", engine.tensor, reads, (dst,), about)
    if core.options.execute:
        product = dequantised(stationary, stationary_scale).T @ dequantised(moving, moving_scale)
        product = product.reshape(dst.shape)
        if adds is False:
            store(dst, product)
        else:
            before = as_float32(dst)
            store(dst, np.where(adds, before + product, product))
    return handle


def _need_v4(op: str, core: Core) -> None:
    if core.version < nc_version.gen4:
        raise broken_rule(
            op, limit="from NeuronCore-v4", generation=core.version.name, hint="use nc_matmul with float8_e4m3 inputs"
        )


def _need_quadrants(op: str, role: str, tile: NkiTensor) -> None:
    if tile.shape[0] % 32 or tile.shape[0] > 128:
        raise broken_rule(f"{op}: {role} has {tile.shape[0]} partitions", limit="32, 64, 96 or 128")


def _scale_views(op: str, role: str, scale: NkiTensor, partitions: int, columns: int) -> tuple[NkiTensor, ...]:
    """The parts of a scale tile that belong to data of so many partitions: four partitions of each quadrant."""
    if scale.dtype not in SCALES:
        raise broken_rule(f"{op}: {role} is {scale.dtype}", limit="float8_e8m0fnu or uint8")
    rows = partitions - 28  # the last quadrant's scales end after its fourth partition
    if scale.shape[0] < rows or math.prod(scale.shape[1:]) != columns:
        raise broken_rule(
            f"{op}: {role} has shape {scale.shape} for data of {partitions} partitions",
            limit=f"at least {rows} partitions and exactly {columns} columns",
            hint="scales of 8 partitions lie together: four in the first partitions of each quadrant of 32",
        )
    if scale.indirection is not None:
        return (scale, *index_tiles(scale))
    start = scale.offset // (scale.base.size * scale.base.itemsize // scale.memory.itemsize // scale.base.shape[0]) % 32
    if start not in (0, 4, 8, 12):
        raise broken_rule(f"{op}: {role} starts {start} partitions into a quadrant", limit="0, 4, 8 or 12")
    return tuple(scale[first : first + 4] for first in range(0, partitions, 32))


def _pair(role: str, data: Any, scale: Any) -> tuple[NkiTensor, NkiTensor]:
    """Checks data and its scales; returns both as the tensor engine reads them."""
    hint = "load it with nisa.dma_copy"
    for name, tile in ((role, data), (f"{role}_scale", scale)):
        need_buffer("nc_matmul_mx", name, need_tensor("nc_matmul_mx", name, tile), SBUF, hint)
    if data.dtype not in ELEMENTS:
        raise broken_rule(
            f"nc_matmul_mx: {role} is {data.dtype}",
            limit=", ".join(ELEMENTS),
            hint="quantize it with nisa.quantize_mx, or view packed bytes with .view(nl.float8_e4m3fn_x4)",
        )
    one, other = data.indirection, scale.indirection
    if (one is None) != (other is None) or (
        isinstance(one, SnakeGather)
        and isinstance(other, SnakeGather)
        and (one.index.storage is not other.index.storage or one.index.offset != other.index.offset)
    ):
        raise broken_rule(
            f"nc_matmul_mx: {role} and {role}_scale are not gathered alike",
            limit="both use .indirect() with the same index, or neither does",
        )
    return for_tensor_engine(data), for_tensor_engine(scale)


def _check_shapes(dst: NkiTensor, stationary: NkiTensor, moving: NkiTensor, core: Core) -> tuple[int, int, int]:
    k, m, n = stationary.shape[0], math.prod(stationary.shape[1:]), math.prod(moving.shape[1:])
    if moving.shape[0] != k:
        raise broken_rule(
            f"nc_matmul_mx: stationary {stationary.shape} and moving {moving.shape}",
            limit="the same number of partitions, along which the contraction runs",
        )
    _need_quadrants("nc_matmul_mx", "stationary", stationary)
    if m % 2 or m > 128:
        raise broken_rule(f"nc_matmul_mx: stationary has {m} columns", limit="an even number up to 128")
    most = core.hardware.matmul_moving_elements_fp32
    if dst.dtype == "bfloat16" and core.hardware.matmul_moving_elements_bf16:
        most = core.hardware.matmul_moving_elements_bf16
    if n > most:
        raise broken_rule(f"nc_matmul_mx: moving has {n} columns", limit=f"{most} for a {dst.dtype} result")
    if dst.shape[0] != m or math.prod(dst.shape[1:]) != n:
        raise broken_rule(f"nc_matmul_mx: dst has shape {dst.shape}", limit=f"({m}, {n})")
    return k, m, n


def _check_tile(position: Any, size: Any, k: int, operands: tuple[NkiTensor, ...]) -> None:
    if not position and not size:
        return
    given = f"nc_matmul_mx: tile_position={position}, tile_size={size}"
    if not position or not size or len(position) != 2 or len(size) != 2:
        raise broken_rule(given, limit="both set, as (row, column), or neither")
    rows, start = size[0], position[0]
    if rows not in (32, 64, 128) or size[1] != 128 or position[1] != 0 or start % rows or not 0 <= start <= 128 - rows:
        raise broken_rule(given, limit="row tiles of 32, 64 or 128 that start at a multiple; columns (0, 128)")
    if k > rows:
        raise broken_rule(f"{given} for {k} partitions", limit=f"at most {rows} partitions")
    if start and any(operand.indirection is not None for operand in operands):
        raise broken_rule(f"{given} with .indirect()", limit="tile_position=(0, 0)")
