"""Number formats: NKI's names, how the simulator stores each, and how values are rounded into them.

Low-precision formats are stored with ml_dtypes. With precise floating point off (`NKI_PRECISE_FP=0`) they are stored as
float32, which separates errors of the algorithm from rounding.

Source: Neuron documentation, "Supported Data Types"; casts of float32 to integers round to nearest even and saturate
(NKI 0.6 release notes).
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from course_lib.nki.errors import broken_rule

_NUMPY: dict[str, Any] = {
    "bool": np.uint8,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "uint8": np.uint8,
    "uint16": np.uint16,
    "uint32": np.uint32,
    "float16": np.float16,
    "float32": np.float32,
    "tfloat32": np.float32,
    "bfloat16": ml_dtypes.bfloat16,
    "float8_e4m3": ml_dtypes.float8_e4m3,
    "float8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8_e5m2": ml_dtypes.float8_e5m2,
    "float8_e8m0fnu": ml_dtypes.float8_e8m0fnu,
    # Four elements packed into one; the tensor engine alone looks inside.
    "float8_e5m2_x4": np.uint32,
    "float8_e4m3fn_x4": np.uint32,
    "float4_e2m1fn_x4": np.uint16,
}


class DType(str):
    """A number format by name. It is a plain string that also knows its size and its NumPy twin.

    Attributes:
        itemsize: bytes of one element on the device.
        numpy: the NumPy type that stores it.
        is_float, is_integer, is_packed: what kind it is.
    """

    itemsize: int
    numpy: np.dtype[Any]
    is_float: bool
    is_integer: bool
    is_packed: bool

    def __new__(cls, name: str) -> DType:
        made = super().__new__(cls, name)
        made.numpy = np.dtype(_NUMPY[name])
        made.itemsize = made.numpy.itemsize
        made.is_packed = name.endswith("_x4")
        made.is_float = not made.is_packed and ("float" in name)
        made.is_integer = not made.is_packed and not made.is_float
        return made

    @property
    def name(self) -> str:
        return str(self)


DTYPES: dict[str, DType] = {name: DType(name) for name in _NUMPY}
_SPELLINGS = {"bool_": "bool", "float8e4": "float8_e4m3", "float8e5": "float8_e5m2"}
_WIDER = {
    "float64": "nl.float32",
    "int64": "nl.int32",
    "uint64": "nl.uint32",
    "complex64": "two float32 tensors",
    "complex128": "two float32 tensors",
}
_CONVERT = {
    "float64": ": x.astype(np.float32), in torch x.float()",
    "int64": ": x.astype(np.int32), in torch x.int()",
}


def as_dtype(value: Any, whose: str = "") -> DType:
    """NKI's format for a name, a NumPy dtype, an ml_dtypes type or a torch dtype.

    Args:
        value: the format.
        whose: the name of the array that has it, for the message.

    Raises:
        NkiValidationError: for a format that the hardware does not have, naming one that it has.
    """
    if type(value) is DType:
        return value
    name = str(value) if isinstance(value, (str, np.dtype)) else ""
    if isinstance(value, np.dtype) and value.names is not None and len(value.names) == 1:
        name = value.names[0]  # NumPy has no packed formats: np.dtype([("float8_e4m3fn_x4", np.uint32)]) names one
    if not name:
        text = str(value)
        name = text.removeprefix("torch.") if text.startswith("torch.") else np.dtype(value).name
    name = _SPELLINGS.get(name, name)
    found = DTYPES.get(name)
    if found is None:
        has = f"{whose} has dtype {name!r}, which does" if whose else f"dtype {name!r} does"
        raise broken_rule(
            f"{has} not exist on a NeuronCore",
            limit="no 64-bit and no complex numbers; the formats are " + ", ".join(DTYPES),
            hint=f"use {_WIDER[name]}" + _CONVERT.get(name, "") * bool(whose) if name in _WIDER else "use one of these",
        )
    return found


def stored_as(dtype: DType, precise: bool) -> np.dtype[Any]:
    """The NumPy type that holds elements of `dtype` in the simulator."""
    if not precise and dtype.is_float and dtype.itemsize < 4:
        return np.dtype(np.float32)
    return dtype.numpy


def uninitialised(stored: np.dtype[Any]) -> Any:
    """What fresh memory reads as: NaN for floats, 4 for integers, as in the official simulator."""
    return 4 if stored.kind in "iub" else np.nan


def round_to(values: np.ndarray, stored: np.dtype[Any]) -> np.ndarray:
    """Casts computed values into a stored type: floats round, integers round to nearest even and saturate."""
    if values.dtype == stored:
        return values
    if stored.kind in "iu" and values.dtype.kind not in "iub":
        limits = np.iinfo(stored)
        wide = np.rint(np.asarray(values, dtype=np.float64))
        kept: np.ndarray = np.nan_to_num(np.clip(wide, limits.min, limits.max), nan=0.0)
        return kept.astype(stored)
    if stored.kind in "iu" and values.dtype.kind in "iu":
        limits = np.iinfo(stored)
        within: np.ndarray = np.clip(values, limits.min, limits.max)
        return within.astype(stored)
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(stored)


def to_tfloat32(values: np.ndarray) -> np.ndarray:
    """Rounds float32 values to tfloat32's 10 bits of mantissa, to nearest even."""
    bits = values.view(np.uint32)
    rounded = bits + np.uint32(0x0FFF) + ((bits >> np.uint32(13)) & np.uint32(1))
    kept = np.where(np.isfinite(values), rounded & np.uint32(0xFFFFE000), bits)
    return kept.view(np.float32)
