"""Operators that instructions take as `op=`: what each computes, of which kind it is, and which generations have it.

`nki.language`'s functions are these objects: `nl.add(x, y)` calls one, `op=nl.add` passes it.

Source: Neuron documentation 2.32, "Supported Math Operators for NKI ISA".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course_lib.nki import activations
from course_lib.nki.constants import nc_version


class Op:
    """An operator.

    Attributes:
        name: as in `nki.language`.
        compute: NumPy function of one or two float32 (bit operators: integer) arrays; None for tokens that have a
            meaning of their own in one instruction.
        ufunc: `compute` when it is a NumPy ufunc, which can reduce, accumulate and write in place; else None.
        inputs: 1 or 2; 0 for tokens.
        bits: whether it works on bit patterns of integers.
        alu: whether the vector engine has it.
        reducible: whether it may reduce.
        since: first generation that has it as an operator of the vector engine.
        call: the function of `nki.language` behind this name, set there.
    """

    __slots__ = ("alu", "bits", "call", "compute", "inputs", "name", "reducible", "since", "ufunc")

    def __init__(
        self,
        name: str,
        compute: Callable[..., Any] | None,
        inputs: int,
        *,
        bits: bool = False,
        alu: bool = False,
        reducible: bool = False,
        since: nc_version = nc_version.gen2,
    ) -> None:
        self.name, self.compute, self.inputs = name, compute, inputs
        self.bits, self.alu, self.reducible, self.since = bits, alu or bits or reducible, reducible, since
        self.ufunc: np.ufunc | None = compute if isinstance(compute, np.ufunc) else None
        self.call: Callable[..., Any] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.call is None:
            raise TypeError(f"nl.{self.name} is only a token for op= arguments; it cannot be called.")
        return self.call(*args, **kwargs)

    def __repr__(self) -> str:
        return f"nl.{self.name}"


OPS: dict[str, Op] = {}


def define(name: str, compute: Callable[..., Any] | None, inputs: int, **about: Any) -> Op:
    """Registers an operator under its name and returns it."""
    OPS[name] = made = Op(name, compute, inputs, **about)
    return made


def _abs_max(x: Any, y: Any) -> Any:
    return np.where(np.abs(x) > np.abs(y), x, y)


def _abs_min(x: Any, y: Any) -> Any:
    return np.where(np.abs(x) < np.abs(y), x, y)


def _unsigned(x: Any) -> Any:
    x = np.asarray(x)
    return x.view(f"u{x.itemsize}") if x.dtype.kind == "i" else x


def _left_shift(x: Any, y: Any) -> Any:
    x, by = np.asarray(x), _unsigned(y)
    width = 8 * x.itemsize
    return np.where(by < width, x << np.minimum(by, width - 1).astype(x.dtype), 0).astype(x.dtype)


def _right_shift(x: Any, y: Any) -> Any:
    x, bits, by = np.asarray(x), _unsigned(x), _unsigned(y)
    width = 8 * x.itemsize
    return (
        np.where(by < width, bits >> np.minimum(by, width - 1).astype(bits.dtype), 0).astype(bits.dtype).view(x.dtype)
    )


add = define("add", np.add, 2, reducible=True)
subtract = define("subtract", np.subtract, 2, reducible=True)
multiply = define("multiply", np.multiply, 2, reducible=True)
maximum = define("maximum", np.maximum, 2, reducible=True)
minimum = define("minimum", np.minimum, 2, reducible=True)
logical_and = define("logical_and", np.logical_and, 2, reducible=True)
logical_or = define("logical_or", np.logical_or, 2, reducible=True)
logical_xor = define("logical_xor", np.logical_xor, 2, reducible=True)
equal = define("equal", np.equal, 2, alu=True)
not_equal = define("not_equal", np.not_equal, 2, alu=True)
greater = define("greater", np.greater, 2, alu=True)
greater_equal = define("greater_equal", np.greater_equal, 2, alu=True)
less = define("less", np.less, 2, alu=True)
less_equal = define("less_equal", np.less_equal, 2, alu=True)
power = define("power", np.power, 2, alu=True)
abs_max = define("abs_max", _abs_max, 2, alu=True, since=nc_version.gen4)
abs_min = define("abs_min", _abs_min, 2, alu=True, since=nc_version.gen4)

bitwise_and = define("bitwise_and", np.bitwise_and, 2, bits=True, reducible=True)
bitwise_or = define("bitwise_or", np.bitwise_or, 2, bits=True, reducible=True)
bitwise_xor = define("bitwise_xor", np.bitwise_xor, 2, bits=True, reducible=True)
left_shift = define("left_shift", _left_shift, 2, bits=True)
right_shift = define("right_shift", _right_shift, 2, bits=True)
invert = define("invert", np.invert, 1, bits=True)

abs_ = define("abs", np.abs, 1, alu=True)
rsqrt = define("rsqrt", activations.rsqrt, 1, alu=True)
reciprocal = define("reciprocal", activations.reciprocal, 1, alu=True)
square = define("square", np.square, 1, alu=True, since=nc_version.gen4)
relu = define("relu", activations.relu, 1, alu=True, since=nc_version.gen4)

# No engine has these as one operator; nki.language builds them from several instructions.
divide = define("divide", np.divide, 2)
fmod = define("fmod", np.fmod, 2)
mod = define("mod", np.mod, 2)
cos = define("cos", np.cos, 1)
tan = define("tan", np.tan, 1)
ceil = define("ceil", np.ceil, 1)
floor = define("floor", np.floor, 1)
trunc = define("trunc", np.trunc, 1)
negative = define("negative", np.negative, 1)
logical_not = define("logical_not", np.logical_not, 1)

copy = define("copy", activations.identity, 1)
exp = define("exp", np.exp, 1)
log = define("log", np.log, 1)
sqrt = define("sqrt", np.sqrt, 1)
tanh = define("tanh", np.tanh, 1)
sin = define("sin", np.sin, 1)
arctan = define("arctan", np.arctan, 1)
sign = define("sign", np.sign, 1)
sigmoid = define("sigmoid", activations.sigmoid, 1)
gelu = define("gelu", activations.gelu, 1)
gelu_dx = define("gelu_dx", activations.gelu_dx, 1)
gelu_apprx_tanh = define("gelu_apprx_tanh", activations.gelu_apprx_tanh, 1)
gelu_apprx_sigmoid = define("gelu_apprx_sigmoid", activations.gelu_apprx_sigmoid, 1)
gelu_apprx_sigmoid_dx = define("gelu_apprx_sigmoid_dx", activations.gelu_apprx_sigmoid_dx, 1)
silu = define("silu", activations.silu, 1)
silu_dx = define("silu_dx", activations.silu_dx, 1)
softplus = define("softplus", activations.softplus, 1)
mish = define("mish", activations.mish, 1)
erf = define("erf", activations.erf, 1)
erf_dx = define("erf_dx", activations.erf_dx, 1)

bypass = define("bypass", None, 0)
average = define("average", None, 0)
prelu = define("prelu", None, 0)

# Functions of nki.language that reduce; the documentation names them as `reduce_op` as well.
_REDUCING = {"max": maximum, "min": minimum, "sum": add}


def as_op(value: Any) -> Op | None:
    """The operator that an `op=` argument means; None when it is not one."""
    if type(value) is Op:
        return value
    if getattr(value, "__module__", "").startswith("course_lib.nki.language"):
        return _REDUCING.get(getattr(value, "__name__", ""))
    return None
