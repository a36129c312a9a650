"""Element-wise functions of the engines as NumPy computes them in float32: activations, their derivatives, roundings.

Source: Neuron documentation 2.32, "Supported Activation Functions for NKI ISA".
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

_STEPS = 8192  # table entries for each unit of x: linear interpolation between them is good to 2e-9
_ONE_FROM = 4  # from here on erf is 1 in float32


@functools.cache
def _erf_table() -> tuple[np.ndarray, np.ndarray]:
    """erf at multiples of 1 / _STEPS from 0 to _ONE_FROM, and the differences of neighbours."""
    exact = np.array([math.erf(step / _STEPS) for step in range(_STEPS * _ONE_FROM + 2)])
    return exact[:-1].astype(np.float32), np.diff(exact).astype(np.float32)


def erf(x: Any) -> Any:
    """The error function, to 1e-7."""
    x = np.asarray(x, dtype=np.float32)
    values, slopes = _erf_table()
    place = np.minimum(np.abs(x), np.float32(_ONE_FROM))
    place *= np.float32(_STEPS)
    # NaN has no place in the table; the last step puts it back.
    entry = (
        np.nan_to_num(place, copy=True, nan=0.0).astype(np.int32) if np.isnan(place).any() else place.astype(np.int32)
    )
    place -= entry
    place *= slopes[entry]
    place += values[entry]
    return np.copysign(place, x)


def erf_dx(x: Any) -> Any:
    """Derivative of erf."""
    return (2.0 / math.sqrt(math.pi)) * np.exp(-(x * x))


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + np.exp(-x))


def relu(x: Any) -> Any:
    """max(x, 0)."""
    return np.maximum(x, 0.0)


def prelu(x: Any, slope: Any = 0.0) -> Any:
    """x where positive, slope·x elsewhere."""
    return np.where(x > 0, x, x * slope)


def _normal_cdf(x: Any) -> Any:
    return 0.5 * (1.0 + erf(x * math.sqrt(0.5)))


def gelu(x: Any) -> Any:
    """x·Φ(x), with Φ the distribution function of the normal distribution."""
    return x * _normal_cdf(x)


def gelu_dx(x: Any) -> Any:
    """Derivative of gelu."""
    return _normal_cdf(x) + x * np.exp(-0.5 * (x * x)) * (1.0 / math.sqrt(2.0 * math.pi))


def gelu_apprx_tanh(x: Any) -> Any:
    """gelu with Φ approximated by tanh."""
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)))


def gelu_apprx_sigmoid(x: Any) -> Any:
    """gelu with Φ approximated by sigmoid(1.702 x)."""
    return x * sigmoid(1.702 * x)


def gelu_apprx_sigmoid_dx(x: Any) -> Any:
    """Derivative of gelu_apprx_sigmoid."""
    gate = sigmoid(1.702 * x)
    return gate * (1.0 + 1.702 * x * (1.0 - gate))


def silu(x: Any) -> Any:
    """x·sigmoid(x)."""
    return x * sigmoid(x)


def silu_dx(x: Any) -> Any:
    """Derivative of silu."""
    gate = sigmoid(x)
    return gate * (1.0 + x * (1.0 - gate))


def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def mish(x: Any) -> Any:
    """x·tanh(softplus(x))."""
    return x * np.tanh(softplus(x))


def rsqrt(x: Any) -> Any:
    """1 / sqrt(x)."""
    return 1.0 / np.sqrt(x)


def reciprocal(x: Any) -> Any:
    """1 / x; `np.reciprocal` would divide integers as integers."""
    return 1.0 / x


def identity(x: Any) -> Any:
    """x itself."""
    return x


def sin_without_reduction(x: Any) -> Any:
    """Sine as the scalar engine computes it: right within ±π, outside the cubic of the last piece goes on."""
    made = np.sin(x)
    outside = np.abs(x) > math.pi
    if outside.any():
        away = x[outside] - np.copysign(np.float32(math.pi), x[outside])
        made[outside] = away * away * away / 6.0 - away
    return made
