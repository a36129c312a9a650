"""Arrays in and out: NumPy arrays and torch tensors become HBM tensors, and results become arrays again."""

from __future__ import annotations

import sys
from typing import Any

import ml_dtypes
import numpy as np

from course_lib.nki.dtypes import DType, as_dtype, stored_as
from course_lib.nki.errors import broken_rule
from course_lib.nki.options import Options
from course_lib.nki.tensor import NkiTensor, is_hbm

_TORCH_BITS = {"bfloat16": "int16", "float8_e4m3fn": "int8", "float8_e5m2": "int8"}


def _is_torch(value: Any) -> bool:
    torch = sys.modules.get("torch")  # nobody can pass a tensor without having imported torch
    return torch is not None and isinstance(value, torch.Tensor)


def is_array(value: Any) -> bool:
    """Whether an argument becomes a tensor in HBM; everything else is handed to the kernel as it is."""
    return isinstance(value, np.ndarray) or _is_torch(value)


def to_array(value: Any, options: Options, name: str = "") -> tuple[np.ndarray, DType]:
    """An argument, `name`, as a contiguous NumPy array, sharing memory where it can, and its format."""
    dtype = as_dtype(value.dtype, f"the kernel's argument {name!r}" if name else "")
    if _is_torch(value):
        tensor = value.detach().cpu().contiguous()
        bits = _TORCH_BITS.get(str(dtype))
        array = tensor.view(getattr(sys.modules["torch"], bits)).numpy().view(dtype.numpy) if bits else tensor.numpy()
    else:
        array = np.ascontiguousarray(value)
    if array.dtype.names is not None:
        array = array.view(dtype.numpy)
    if array.ndim == 0:
        array = array.reshape(1)
    stored = stored_as(dtype, options.precise)
    if array.dtype == bool:
        array = array.view(np.uint8)
    if array.dtype != stored or not array.flags.writeable:  # the kernel may write to its copy
        array = array.astype(stored)
    return array, dtype


def write_back(value: Any, array: np.ndarray) -> None:
    """Copies into the caller's array what the kernel wrote, where the simulator worked on a copy."""
    if isinstance(value, np.ndarray):
        if not np.shares_memory(value, array) and value.flags.writeable:
            value[...] = array.reshape(value.shape).astype(value.dtype)
        return
    target = value.detach()
    fresh = torch_tensor(array, target)
    if target.data_ptr() != fresh.data_ptr():
        target.copy_(fresh.reshape(target.shape))


def torch_tensor(array: np.ndarray, like: Any = None) -> Any:
    """A torch tensor with an array's values; the formats that NumPy lacks go through their bits."""
    torch = sys.modules["torch"]
    if array.dtype.kind != "V" and array.dtype not in (
        ml_dtypes.bfloat16,
        ml_dtypes.float8_e4m3fn,
        ml_dtypes.float8_e5m2,
    ):
        if array.dtype in (ml_dtypes.float8_e4m3, ml_dtypes.float8_e8m0fnu):
            return torch.from_numpy(array.astype(np.float32))
        return torch.from_numpy(array)
    name = array.dtype.name
    bits = np.int16 if array.dtype.itemsize == 2 else np.int8
    return torch.from_numpy(array.view(bits)).view(getattr(torch, name))


def from_tensor(result: Any, torch_out: bool, options: Options) -> Any:
    """A kernel's result as arrays; tuples, lists and dictionaries keep their form."""
    if isinstance(result, NkiTensor):
        if not is_hbm(result.buffer):
            raise broken_rule(
                f"the kernel returns {result.storage.describe()}",
                limit="results live in HBM",
                hint="allocate the result with buffer=nl.shared_hbm and copy into it with nisa.dma_copy",
            )
        array = np.ascontiguousarray(result.array)
        if result.dtype == "bool":
            array = array.astype(bool)
        elif array.dtype != result.dtype.numpy:
            array = array.astype(result.dtype.numpy)
        return torch_tensor(array) if torch_out else array
    if isinstance(result, tuple | list):
        items = [from_tensor(item, torch_out, options) for item in result]
        return type(result)(*items) if hasattr(result, "_fields") else type(result)(items)
    if isinstance(result, dict):
        return {name: from_tensor(item, torch_out, options) for name, item in result.items()}
    return result
