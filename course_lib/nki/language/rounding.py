"""Rounding, remainders and trigonometry, built from instructions that the engines have.

A cast to int32 rounds to nearest even; `floor` and its kin correct that by a comparison. Numbers of 2^23 and more are
whole already and pass through. `sin` and its kin bring their argument into the range that the scalar engine covers.

Source: Neuron documentation 2.32, `nki.language`: ceil, floor, trunc, mod, fmod, sin, cos, tan, arctan.
"""

from __future__ import annotations

import math
from typing import Any

from course_lib.nki import isa
from course_lib.nki.isa.rules import need_tensor
from course_lib.nki.language.elementwise import activate, binary, fresh
from course_lib.nki.language.memory import copy
from course_lib.nki.operators import OPS
from course_lib.nki.tensor import NkiTensor

_WHOLE_FROM = 2.0**23
# 2 pi in three parts whose leading zeros keep products with small whole numbers exact (Cody and Waite's reduction).
_TURN = (6.28125, 0.0019350051879882812, 3.0199175979498156e-07)
_QUARTER = (1.5707963705062866, -4.371139000186241e-08)  # pi / 2 in two parts
# float32 just below pi: what is left of a turn must not leave the engine's range by a rounding.
_MOST = 3.1415925


def _nearest(x: NkiTensor) -> NkiTensor:
    """The nearest whole number, as float32."""
    rounded = copy(copy(x, dtype="int32"), dtype="float32")
    size = activate(OPS["abs"], x, "float32")
    small = binary(OPS["less"], size, _WHOLE_FROM, "uint8")
    # Reversed, so that infinities and NaN, which are not less, keep their own value.
    isa.tensor_copy_predicated(
        dst=rounded, src=x if x.dtype == "float32" else copy(x, "float32"), predicate=small, reverse_pred=True
    )
    return rounded


def _floor(x: NkiTensor, dtype: Any = None) -> NkiTensor:
    need_tensor("nl.floor", "x", x)
    near = _nearest(x)
    return binary(OPS["subtract"], near, binary(OPS["greater"], near, x, "float32"), dtype or x.dtype)


def _ceil(x: NkiTensor, dtype: Any = None) -> NkiTensor:
    need_tensor("nl.ceil", "x", x)
    near = _nearest(x)
    return binary(OPS["add"], near, binary(OPS["less"], near, x, "float32"), dtype or x.dtype)


def _trunc(x: NkiTensor, dtype: Any = None) -> NkiTensor:
    """The floor of the size, with the sign."""
    need_tensor("nl.trunc", "x", x)
    size = _floor(activate(OPS["abs"], x, "float32"))
    return binary(OPS["multiply"], size, activate(OPS["sign"], x, "float32"), dtype or x.dtype)


def _fmod(x: Any, y: Any, dtype: Any = None) -> NkiTensor:
    return _remainder("fmod", x, y, dtype)


def _mod(x: Any, y: Any, dtype: Any = None) -> NkiTensor:
    return _remainder("mod", x, y, dtype)


def _remainder(name: str, x: Any, y: Any, dtype: Any) -> NkiTensor:
    """x - y * whole(x / y), and one correction by y, because the quotient is rounded."""
    left, right = _as_tiles(name, x, y)
    fmt = dtype or left.dtype
    size = activate(OPS["abs"], right, "float32")
    work = left if name == "mod" else activate(OPS["abs"], left, "float32")
    divisor = right if name == "mod" else size
    quotient = _floor(_call("divide", work, divisor, "float32"))
    rest = binary(OPS["subtract"], work, binary(OPS["multiply"], quotient, divisor, "float32"), "float32")
    if name == "mod":  # the rest is to lie between 0 and y, whatever y's sign
        sign = activate(OPS["sign"], right, "float32")
        rest = binary(OPS["multiply"], rest, sign, "float32")
        rest = _into(rest, size)
        return binary(OPS["multiply"], rest, sign, fmt)
    rest = _into(rest, size)
    return binary(OPS["multiply"], rest, activate(OPS["sign"], left, "float32"), fmt)


def _into(rest: NkiTensor, size: NkiTensor) -> NkiTensor:
    """A rest that may lie one divisor too low or too high, between 0 and the divisor."""
    low = binary(OPS["multiply"], binary(OPS["less"], rest, 0.0, "float32"), size, "float32")
    rest = binary(OPS["add"], rest, low, "float32")
    high = binary(OPS["multiply"], binary(OPS["greater_equal"], rest, size, "float32"), size, "float32")
    return binary(OPS["subtract"], rest, high, "float32")


def _as_tiles(name: str, x: Any, y: Any) -> tuple[NkiTensor, NkiTensor]:
    like = x if isinstance(x, NkiTensor) else y
    need_tensor(f"nl.{name}", "x or y", like)
    made = []
    for value in (x, y):
        if isinstance(value, NkiTensor):
            made.append(value)
        else:
            tile = fresh(like, "float32")
            isa.memset(dst=tile, value=float(value))
            made.append(tile)
    return made[0], made[1]


def _reduced(x: NkiTensor, shift: float) -> NkiTensor:
    """x + shift, less whole turns, within [-pi, pi] of the scalar engine's sine."""
    # The turns of x + shift, so that x itself loses no digits to the sum.
    turns = _nearest(_affine(x, 1.0 / (2.0 * math.pi), shift / (2.0 * math.pi)))
    rest = _less_turns(x, turns, 1.0)
    if shift:
        rest = binary(OPS["add"], rest, shift, "float32")
    # Near half a turn the rounded quotient can be one off, and the rest is then a little outside.
    above = binary(OPS["greater"], rest, _MOST, "float32")
    below = binary(OPS["less"], rest, -_MOST, "float32")
    rest = _less_turns(rest, binary(OPS["subtract"], above, below, "float32"), 1.0)
    limited = fresh(x, "float32")
    isa.tensor_scalar(dst=limited, data=rest, op0=OPS["minimum"], operand0=_MOST, op1=OPS["maximum"], operand1=-_MOST)
    return limited


def _less_turns(x: NkiTensor, turns: NkiTensor, share: float) -> NkiTensor:
    """x less so many turns, or shares of a turn, part by part."""
    rest = x
    for part in _TURN:
        step = binary(OPS["multiply"], turns, part * share, "float32")
        rest = binary(OPS["subtract"], rest, step, "float32")
    return rest


def _affine(x: NkiTensor, scale: float, shift: float) -> NkiTensor:
    tile = fresh(x, "float32")
    isa.tensor_scalar(dst=tile, data=x, op0=OPS["multiply"], operand0=scale, op1=OPS["add"], operand1=shift)
    return tile


def _sin(x: NkiTensor, dtype: Any = None) -> NkiTensor:
    need_tensor("nl.sin", "x", x)
    return activate(OPS["sin"], _reduced(x, 0.0), dtype or x.dtype)


def _cos(x: NkiTensor, dtype: Any = None) -> NkiTensor:
    """The sine of x + pi / 2."""
    need_tensor("nl.cos", "x", x)
    return activate(OPS["sin"], _reduced(x, math.pi / 2.0), dtype or x.dtype)


def _tan(x: NkiTensor, dtype: Any = None) -> NkiTensor:
    """Sine over cosine of what is left of half a turn: both are exact near the zeros of the cosine."""
    need_tensor("nl.tan", "x", x)
    turns = _nearest(binary(OPS["multiply"], x, 1.0 / math.pi, "float32"))
    rest = _less_turns(x, turns, 0.5)
    size = activate(OPS["abs"], rest, "float32")
    across = fresh(x, "float32")
    high, low = _QUARTER
    isa.tensor_scalar(
        dst=across, data=size, op0=OPS["subtract"], operand0=high, reverse0=True, op1=OPS["add"], operand1=low
    )
    top, bottom = activate(OPS["sin"], rest, "float32"), activate(OPS["sin"], across, "float32")
    return _call("divide", top, bottom, dtype or x.dtype)


def _arctan(x: NkiTensor, dtype: Any = None) -> NkiTensor:
    """arctan(x), and beyond 1 pi/2 - arctan(1/x) with the sign: the engine covers [-pi/2, pi/2]."""
    need_tensor("nl.arctan", "x", x)
    size = activate(OPS["abs"], x, "float32")
    large = binary(OPS["greater"], size, 1.0, "float32")
    inverse = fresh(x, "float32")
    isa.reciprocal(dst=inverse, data=binary(OPS["maximum"], size, 1.0, "float32"))
    inner = activate(OPS["arctan"], binary(OPS["minimum"], size, inverse, "float32"), "float32")
    # large: pi/2 - inner = inner + large * (pi/2 - 2 inner)
    change = binary(OPS["multiply"], _affine(inner, -2.0, math.pi / 2.0), large, "float32")
    angle = binary(OPS["add"], inner, change, "float32")
    return binary(OPS["multiply"], angle, activate(OPS["sign"], x, "float32"), dtype or x.dtype)


def _call(name: str, *args: Any) -> NkiTensor:
    made: NkiTensor = OPS[name](*args)
    return made


for _name, _function in (
    ("floor", _floor),
    ("ceil", _ceil),
    ("trunc", _trunc),
    ("fmod", _fmod),
    ("mod", _mod),
    ("sin", _sin),
    ("cos", _cos),
    ("tan", _tan),
    ("arctan", _arctan),
):
    OPS[_name].call = _function
