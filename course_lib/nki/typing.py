"""`nki.typing`: annotations for kernels' arguments; they are harmless here.

Source: Neuron documentation 2.32, "NKI migration guides", `nki.typing`.
"""

from __future__ import annotations

from typing import Any


class _TensorAnnotation(type):
    """Makes `nt.tensor[shape]` and `nt.tensor | None` valid annotations."""

    def __getitem__(cls, shape: Any) -> Any:
        return type(cls)(cls.__name__, (cls,), {"shape": shape})


class tensor(metaclass=_TensorAnnotation):
    """`nt.tensor` or `nt.tensor[shape]`: a tensor in device memory, of that shape."""

    shape: Any = None


class mutable_tensor(tensor):
    """`nt.mutable_tensor`: a tensor that the kernel writes to, as older kernels mark it."""
