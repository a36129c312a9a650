"""Matrix multiplication on the tensor engine.

Source: Neuron documentation 2.32, `nki.isa.nc_matmul`.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from course_lib.nki.constants import engine, matmul_perf_mode, nc_version
from course_lib.nki.dtypes import to_tfloat32
from course_lib.nki.errors import broken_rule
from course_lib.nki.indirection import for_tensor_engine
from course_lib.nki.isa.operands import index_tiles
from course_lib.nki.isa.rules import PSUM, SBUF, need_buffer, need_tensor
from course_lib.nki.owed import add_product, owe_product
from course_lib.nki.psum import accumulates
from course_lib.nki.session import Core, NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import as_float32, store

_WIDE = ("float32", "tfloat32")
_FP8 = ("float8_e4m3", "float8_e5m2", "float8_e4m3fn")
_INPUTS = ("bfloat16", "float16", *_WIDE, *_FP8)


def nc_matmul(
    dst: NkiTensor,
    stationary: NkiTensor,
    moving: NkiTensor,
    is_stationary_onezero: bool = False,
    is_moving_onezero: bool = False,
    is_transpose: bool = False,
    accumulate: bool | None = None,
    tile_position: tuple[int, ...] = (),
    tile_size: tuple[int, ...] = (),
    perf_mode: matmul_perf_mode = matmul_perf_mode.none,
    name: str | None = None,
) -> NkiInstruction:
    """`dst = stationary.T @ moving`, or `dst += ...`, with the contraction along the partitions of both.

    Args:
        dst: (M, N) tile in PSUM, float32 (bfloat16 too on NeuronCore-v4).
        stationary: (K, M) tile in SBUF, K and M up to 128.
        moving: (K, N) tile in SBUF, N up to 512 (4096 on NeuronCore-v4, 8192 with a bfloat16 result).
        is_stationary_onezero, is_moving_onezero: the operand holds zeros and ones alone; float32 then runs faster.
        is_transpose: transpose mode; `moving` is an identity matrix.
        accumulate: False overwrites, True adds; None overwrites at the first write to a region and adds afterwards.
        tile_position, tile_size: row and column tile of the systolic array.
        perf_mode: double_row packs two FP8 rows (NeuronCore-v3 on).
        name: a name for the instruction.

    Raises:
        NkiValidationError: for shapes, regions or formats that the tensor engine does not have.
    """
    core = current_core()
    if type(perf_mode) is not matmul_perf_mode:
        perf_mode = _named_mode(perf_mode)
    need_buffer("nc_matmul", "dst", need_tensor("nc_matmul", "dst", dst), PSUM, "allocate it with buffer=nl.psum")
    for role, tensor in (("stationary", stationary), ("moving", moving)):
        need_buffer("nc_matmul", role, need_tensor("nc_matmul", role, tensor), SBUF, "load it with nisa.dma_copy")
    looked_up = dst.indirection is not None or stationary.indirection is not None or moving.indirection is not None
    if looked_up:
        dst, stationary, moving = (for_tensor_engine(tensor) for tensor in (dst, stationary, moving))
    _check_formats(dst, stationary, moving, is_transpose, perf_mode, core)
    k, m, n = _check_shapes(dst, stationary, moving, perf_mode, core)
    _check_tile(tile_position, tile_size, k, m, core)
    adds = accumulates(dst, accumulate, core.version, core.options.execute)
    about = {
        "k": k,
        "m": m,
        "n": n,
        "flops": 2 * k * m * n,
        "transpose": is_transpose,
        "onezero": is_stationary_onezero or is_moving_onezero,
        "double_row": perf_mode is matmul_perf_mode.double_row,
        "tile_size": tuple(tile_size),
        "operands": (stationary, moving, dst),
    }
    reads = (stationary, moving, *index_tiles(dst, stationary, moving)) if looked_up else (stationary, moving)
    handle = core.issue("nc_matmul", engine.tensor, reads, (dst,), about)
    if core.options.execute:
        _execute(dst, stationary, moving, k, m, n, adds)
    return handle


def _named_mode(name: Any) -> matmul_perf_mode:
    """The mode behind a name: published kernels pass "double_row" and "none", which NKI 0.3 replaced by members."""
    found = matmul_perf_mode.__members__.get(name) if isinstance(name, str) else None
    if found is None:
        raise broken_rule(f"nc_matmul: perf_mode={name!r}", limit="a member of nisa.matmul_perf_mode")
    warnings.warn(
        f"nc_matmul: write perf_mode=nisa.matmul_perf_mode.{name} instead of {name!r}", DeprecationWarning, stacklevel=3
    )
    return found


def _execute(
    dst: NkiTensor, stationary: NkiTensor, moving: NkiTensor, k: int, m: int, n: int, adds: bool | np.ndarray
) -> None:
    if stationary.indirection is None and moving.indirection is None and dst.indirection is None:
        if type(adds) is bool and owe_product(dst, stationary, moving, adds):
            return
        if dst.memory is dst.base and not (adds is True or isinstance(adds, np.ndarray)):
            dst.storage.owed = None
    a, b = _operand(stationary, k, m), _operand(moving, k, n)
    target = dst.array
    if type(adds) is bool and dst.dtype == "float32" and dst.indirection is None:
        add_product(target, a, b, adds)
        return
    product = (a.T @ b).reshape(dst.shape)
    before = as_float32(dst)
    store(dst, np.where(adds, before + product, product))


def _operand(tensor: NkiTensor, rows: int, columns: int) -> np.ndarray:
    values = as_float32(tensor)
    if tensor.dtype == "tfloat32":
        values = to_tfloat32(np.ascontiguousarray(values))
    if tensor.shape[0] != rows:  # double row: (K / 2, 2, columns)
        return values.reshape(rows, columns)
    return values if values.ndim == 2 else values.reshape(rows, columns)


def _check_formats(
    dst: NkiTensor, stationary: NkiTensor, moving: NkiTensor, transpose: bool, perf_mode: Any, core: Core
) -> None:
    a, b = stationary.dtype, moving.dtype
    for role, fmt in (("stationary", a), ("moving", b)):
        if fmt not in _INPUTS and not transpose:
            raise broken_rule(
                f"nc_matmul: {role} is {fmt}", limit=", ".join(_INPUTS), hint="cast it with nisa.tensor_copy first"
            )
    if (a in _WIDE) != (b in _WIDE):
        raise broken_rule(
            f"nc_matmul: stationary is {a}, moving {b}",
            limit="if one input is float32 or tfloat32, so is the other",
            hint="cast one of them with nisa.tensor_copy",
        )
    if "float8_e4m3fn" in (a, b) and core.version < nc_version.gen4:
        raise broken_rule("nc_matmul: float8_e4m3fn", limit="from NeuronCore-v4", generation=core.version.name)
    if {a, b} >= {"float8_e4m3", "float8_e4m3fn"}:
        raise broken_rule("nc_matmul: float8_e4m3 and float8_e4m3fn together", limit="one of the two")
    allowed = ("float32",) if core.version < nc_version.gen4 else ("float32", "bfloat16")
    if dst.dtype not in allowed and not (transpose and dst.dtype == stationary.dtype):
        raise broken_rule(
            f"nc_matmul: dst is {dst.dtype}",
            limit=" or ".join(allowed),
            generation=core.version.name,
            hint="accumulate in float32 and cast when you copy to SBUF",
        )
    if perf_mode is matmul_perf_mode.double_row:
        if core.version < nc_version.gen3:
            raise broken_rule("nc_matmul: double_row", limit="from NeuronCore-v3", generation=core.version.name)
        if a not in _FP8 or b not in _FP8 or transpose:
            raise broken_rule(f"nc_matmul: double_row with {a} and {b}", limit="FP8 inputs, no transpose")


def _check_shapes(
    dst: NkiTensor, stationary: NkiTensor, moving: NkiTensor, perf_mode: Any, core: Core
) -> tuple[int, int, int]:
    double = perf_mode is matmul_perf_mode.double_row
    if double and (stationary.ndim < 3 or moving.ndim < 3 or stationary.shape[1] != 2 or moving.shape[1] != 2):
        raise broken_rule(
            f"nc_matmul: double_row with shapes {stationary.shape} and {moving.shape}",
            limit="(K, 2, M) and (K, 2, N)",
        )
    lead = 2 if double else 1
    k, k2 = stationary.shape[0], moving.shape[0]
    m, n = math.prod(stationary.shape[lead:]), math.prod(moving.shape[lead:])
    if k != k2:
        raise broken_rule(
            f"nc_matmul: stationary {stationary.shape} and moving {moving.shape} contract {k} with {k2} partitions",
            limit="the contraction dimension lies on the partitions of both and is equal",
            hint="the result is stationary.T @ moving: load the left matrix transposed",
        )
    if m > 128:
        raise broken_rule(
            f"nc_matmul: stationary has {m} columns",
            limit="128 (nl.tile_size.gemm_stationary_fmax)",
            hint="loop over tiles of 128",
        )
    most = core.hardware.matmul_moving_elements_fp32
    if dst.dtype == "bfloat16" and core.hardware.matmul_moving_elements_bf16:
        most = core.hardware.matmul_moving_elements_bf16
    if n > most:
        raise broken_rule(
            f"nc_matmul: moving has {n} columns",
            limit=f"{most} for a {dst.dtype} result",
            generation=core.version.name,
            hint="loop over tiles of nl.tile_size.gemm_moving_fmax",
        )
    if dst.shape[0] != m or math.prod(dst.shape[1:]) != n:
        raise broken_rule(
            f"nc_matmul: dst has shape {dst.shape}",
            limit=f"({m}, {n}): the columns of stationary by the columns of moving",
            hint="dst = stationary.T @ moving",
        )
    return (2 * k if double else k), m, n


def _check_tile(position: Any, size: Any, k: int, m: int, core: Core) -> None:
    if not position and not size:
        return
    if len(position) != 2 or len(size) != 2:
        raise broken_rule(
            f"nc_matmul: tile_position={position}, tile_size={size}", limit="both set, as (row, column), or neither"
        )
    smallest = 64 if core.version < nc_version.gen3 else 32
    for what, start, length, need in (("row", position[0], size[0], k), ("column", position[1], size[1], m)):
        if length not in (smallest, 64, 128) or start % length or start + length > 128 or need > length:
            raise broken_rule(
                f"nc_matmul: {what} tile at {start} of {length} for an operand of {need}",
                limit=f"tiles of {smallest}, 64 or 128 that hold the operand and start at a multiple of their size",
                generation=core.version.name,
            )
