"""Activations on the scalar engine: `op(data · scale + bias)` in float32, with a sum along the free dimensions.

Source: Neuron documentation 2.32, `nki.isa.activation`, `activation_reduce`, "Supported Activation Functions".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course_lib.nki import activations
from course_lib.nki.accumulators import accumulate, accumulates, check_reduction, read_out
from course_lib.nki.constants import engine, nc_version, reduce_cmd
from course_lib.nki.errors import broken_rule
from course_lib.nki.indirection import SnakeGather
from course_lib.nki.isa.operands import broadcast, in_place, index_tiles, need_column, need_tile
from course_lib.nki.isa.rules import PSUM, need_same_layout
from course_lib.nki.operators import OPS, Op, as_op
from course_lib.nki.session import Core, NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import as_float32, scalar_of, store

_NAMES = (
    "copy square sigmoid relu gelu gelu_dx gelu_apprx_tanh gelu_apprx_sigmoid gelu_apprx_sigmoid_dx silu silu_dx tanh "
    "softplus mish erf erf_dx exp log arctan sqrt rsqrt reciprocal sign abs"
)
# What the scalar engine computes for each operator. Beyond their valid ranges only sine is wrong here, as in the
# official simulator; the chip is wrong for log, arctan, sqrt, rsqrt and reciprocal too.
FUNCTIONS: dict[str, Callable[..., Any]] = {name: OPS[name].compute for name in _NAMES.split()}  # type: ignore[misc]
FUNCTIONS["sin"] = activations.sin_without_reduction
FUNCTIONS["prelu"] = activations.prelu


def activation(
    dst: NkiTensor,
    op: Any,
    data: NkiTensor,
    bias: Any = None,
    scale: Any = 1.0,
    reduce_op: Any = None,
    reduce_res: NkiTensor | None = None,
    reduce_cmd: reduce_cmd = reduce_cmd.idle,
    name: str | None = None,
) -> NkiInstruction:
    """`dst = op(data * scale + bias)`, and optionally each partition's sum into the scalar engine's registers.

    Args:
        dst, data: (P, N) tiles in SBUF or PSUM.
        op: an activation function; sine is right within ±π only.
        bias: (P, 1) tile of any format but tfloat32; a number too from NeuronCore-v3.
        scale: a number or a float32 (P, 1) tile.
        reduce_op: nl.add.
        reduce_res: (P, 1) tile that the registers are read out to.
        reduce_cmd: idle, reset, reduce or reset_reduce.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for functions, operands or commands that the scalar engine does not have.
    """
    core = current_core()
    function = activation_function("activation", op)
    need_tile("activation", "dst", dst)
    need_tile("activation", "data", data)
    need_same_layout("activation", dst, data, "dst and data")
    need_gathering_places("activation", dst)
    _check_bias(bias, function, data, core.version)
    _check_scale(scale, data)
    found = check_reduction("activation", reduce_op, ("add",), reduce_cmd, ("idle", "reset", "reduce", "reset_reduce"))
    tiles = tuple(tile for tile in (bias, scale) if isinstance(tile, NkiTensor))
    handle = issue_activation(core, "activation", dst, data, tiles, function, reduce_res, reduce_cmd)
    if core.options.execute:
        finish_activation(core, dst, _argument(dst, data, scale, bias), function, 0.0, found, reduce_res, reduce_cmd)
    return handle


_scalar, _reduce_cmd = engine.scalar, reduce_cmd


def _argument(dst: NkiTensor, data: NkiTensor, scale: Any, bias: Any) -> np.ndarray:
    """`data * scale + bias` in float32, computed in the result's place where nothing that is still read lies there."""
    values = as_float32(data)
    inputs = [tile for tile in (data, scale, bias) if isinstance(tile, NkiTensor)]
    out = None if any(tile.storage is dst.storage for tile in inputs) else in_place(dst, values.shape)
    if isinstance(scale, NkiTensor) or scale != 1.0:
        values = np.multiply(values, broadcast(scale, values.ndim), out=out)
        if bias is not None:
            np.add(values, broadcast(bias, values.ndim), out=values)
    elif bias is not None:
        values = np.add(values, broadcast(bias, values.ndim), out=out)
    return values


def activation_reduce(
    dst: NkiTensor,
    op: Any,
    data: NkiTensor,
    reduce_op: Any,
    reduce_res: NkiTensor | None,
    bias: Any = None,
    scale: Any = 1.0,
    name: str | None = None,
) -> NkiInstruction:
    """`activation` with `reduce_cmd.reset_reduce`: the sum of each partition's results goes to `reduce_res`."""
    return activation(dst, op, data, bias, scale, reduce_op, reduce_res, reduce_cmd=_reduce_cmd.reset_reduce, name=name)


def activation_function(op: str, value: Any) -> Op:
    """An operator of the scalar engine's table.

    Raises:
        NkiValidationError: for any other.
    """
    found = as_op(value)
    if found is not None and found.name in FUNCTIONS:
        return found
    hints = {"cos": "nl.sin of the angle + π/2, brought into ±π", "tan": "a sine divided by a cosine"}
    raise broken_rule(
        f"{op}: op={value!r}",
        limit="the scalar engine has " + ", ".join(f"nl.{name}" for name in FUNCTIONS),
        hint=hints.get(found.name, "") if found is not None else "pass the function itself, e.g. op=nl.exp",
    )


def need_gathering_places(op: str, dst: NkiTensor) -> None:
    """Refuses to scatter into PSUM, which the scalar engine cannot do."""
    if type(dst.indirection) is SnakeGather and dst.buffer is PSUM:
        raise broken_rule(
            f"{op}: dst is an indirect view of {dst.name} in PSUM",
            limit="the scalar engine scatters into SBUF only",
            hint="scatter into SBUF, or use the vector engine",
        )


def _check_bias(bias: Any, function: Op, data: NkiTensor, version: nc_version) -> None:
    if bias is None:
        return
    if function.name == "reciprocal" and version is nc_version.gen2:
        raise broken_rule("activation: bias with op=nl.reciprocal", limit="no bias", generation="gen2")
    if not isinstance(bias, NkiTensor):
        number = scalar_of(bias)
        if version is nc_version.gen2:
            raise broken_rule(
                f"activation: bias={number}",
                limit="bias is a (P, 1) tile",
                generation="gen2",
                hint="fill a (P, 1) tile with nisa.memset and pass that",
            )
        return
    need_column("activation", "bias", bias, data.shape[0])
    if bias.dtype == "tfloat32":
        raise broken_rule("activation: bias is tfloat32", limit="any other format", hint="cast it to nl.float32")


def _check_scale(scale: Any, data: NkiTensor) -> None:
    if not isinstance(scale, NkiTensor):
        scalar_of(scale)
        return
    need_column("activation", "scale", scale, data.shape[0])
    if scale.dtype != "float32":
        raise broken_rule(
            f"activation: scale is {scale.dtype}", limit="float32", hint="cast it to nl.float32 with nisa.tensor_copy"
        )


def issue_activation(
    core: Core,
    op: str,
    dst: NkiTensor,
    data: NkiTensor,
    tiles: tuple[NkiTensor, ...],
    function: Op,
    reduce_res: NkiTensor | None,
    command: reduce_cmd,
) -> NkiInstruction:
    """Issues an instruction of the activation family on the scalar engine."""
    writes: tuple[NkiTensor, ...] = (dst,)
    if reduce_res is not None:
        need_column(op, "reduce_res", reduce_res, data.shape[0])
        writes = (dst, reduce_res)
    about = {
        "elements": dst.size // dst.shape[0],
        "op": function.name,
        "reduces": accumulates(command),
        "reads_registers": reduce_res is not None,
        "operands": (data, *tiles, dst),
    }
    return core.issue(op, _scalar, (data, *tiles, *index_tiles(data, dst)), writes, about)


def finish_activation(
    core: Core,
    dst: NkiTensor,
    values: np.ndarray,
    function: Op,
    slope: Any,
    reduction: Op,
    reduce_res: NkiTensor | None,
    command: reduce_cmd,
) -> None:
    """Applies the function, stores, and does what the command says to the registers."""
    out = in_place(dst, values.shape)
    if function.name == "prelu":
        done = activations.prelu(values, slope)
    elif out is not None and function.ufunc is not None and function.name != "sin":
        done = function.ufunc(values, out=out)
    else:
        done = FUNCTIONS[function.name](values)
    accumulate(core, _scalar, command, reduction, done)
    if done is not out:
        store(dst, done)
    if reduce_res is not None:
        read_out(core, _scalar, reduce_res)
