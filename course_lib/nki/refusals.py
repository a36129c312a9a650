"""What tiles refuse: Python operators, NumPy functions and assignment, each with what takes its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course_lib.nki.errors import NkiValidationError, broken_rule
from course_lib.nki.objects import NKIObject

_UNKNOWN_YET = "a kernel is built before it runs: values of a tile exist on the device only"
_PLACE = "nl.transpose(tile), nisa.nc_transpose or nisa.dma_transpose"
_ATTRIBUTES = {
    "T": _PLACE,
    "transpose": _PLACE,
    "mT": _PLACE,
    "astype": "nl.copy(tile, dtype=...), or .view(dtype) for the same bytes",
    "to": "nl.copy(tile, dtype=...)",
    "float": "nl.copy(tile, dtype=nl.float32)",
    "copy": "nl.copy(tile)",
    "clone": "nl.copy(tile)",
    "fill": "nisa.memset(dst=tile, value=...)",
    "flatten": "tile.reshape((partitions, elements)) or tile.flatten_dims(1, last)",
    "ravel": "tile.reshape((partitions, elements)) or tile.flatten_dims(1, last)",
    "squeeze": "tile.squeeze_dim(dim)",
    "unsqueeze": "tile.expand_dim(dim)",
    "expand": "tile.broadcast(dim, size)",
    "dot": "nl.matmul(x, y, transpose_x=True), or nisa.nc_matmul",
    "matmul": "nl.matmul(x, y, transpose_x=True), or nisa.nc_matmul",
    "item": "print(tile), or nl.device_print('name', tile), to look at values",
    "tolist": "print(tile), or nl.device_print('name', tile), to look at values",
    "numpy": "return a tensor in nl.shared_hbm to see its values",
}
_FUNCTIONS = ("sum", "mean", "max", "min", "var", "prod", "all", "exp", "sqrt", "abs", "tanh", "sigmoid", "softmax")
_SAME_NAME = {"true_divide": "divide", "absolute": "abs", "matmul": "matmul", "multiply": "multiply", "div": "divide"}
_REDUCTIONS = {"add": "sum", "maximum": "max", "minimum": "min", "multiply": "prod"}
_SAME_NAME |= {"mul": "multiply", "sub": "subtract", "pow": "power", "float_power": "power"}


class NoAttributeError(NkiValidationError, AttributeError):
    """An attribute of arrays that tiles don't have; an AttributeError too, so that `hasattr` answers no."""


def _function(name: str) -> str:
    """What to write instead of a NumPy or torch function."""
    from course_lib.nki import language

    name = _SAME_NAME.get(name, name)
    if callable(vars(language).get(name)):
        return f"write nl.{name}(...)"
    return "compute with nl.* or nisa.*; to look at values while debugging use print(tile) or nl.device_print"


class Refusals(NKIObject, record=False):
    """Base of NkiTensor with the operators that a tile does not have."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """What the messages call the tile."""
        raise NotImplementedError

    def __setitem__(self, key: Any, value: Any) -> None:
        """`tile[...] = other` copies a tile, as the migration guide writes it; anything else is refused."""
        if hasattr(value, "storage"):
            from course_lib.nki import isa

            target = self[key]  # type: ignore[index]
            (isa.tensor_copy if target.on_chip and value.on_chip else isa.dma_copy)(target, value)
            return
        raise broken_rule(
            f"assignment to {self.name}[{key!r}]",
            limit="memory changes through instructions alone",
            hint="write nisa.tensor_copy(dst=tile[...], src=...), nisa.memset(dst=tile[...], value=...) or "
            "nisa.dma_copy(dst=hbm[...], src=tile)",
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **settings: Any) -> Any:
        name = _REDUCTIONS.get(ufunc.__name__, "") if method == "reduce" else ufunc.__name__
        raise broken_rule(f"np.{name} on the tile {self.name}", limit=_UNKNOWN_YET, hint=_function(name))

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise broken_rule(
            f"a NumPy function was given the tile {self.name}",
            limit=_UNKNOWN_YET,
            hint="compute with nl.* or nisa.*; to look at values while debugging use print(tile) or nl.device_print",
        )

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(function, "__name__", "function")
        raise broken_rule(f"torch.{name} on a tile", limit=_UNKNOWN_YET, hint=_function(name))

    def _as_number(self) -> Any:
        raise broken_rule(
            f"the tile {self.name} as a Python number",
            limit=_UNKNOWN_YET,
            hint="load one element into a register, reg = nisa.register_alloc(); nisa.register_load(reg, tile), for "
            "nl.fori_loop, nl.while_loop and nl.ds(reg, size); compute with nl.* or nisa.*",
        )

    __int__ = __index__ = __float__ = _as_number

    def __getattr__(self, name: str) -> Any:
        """Only for names that a tile does not have."""
        instead = f"nl.{name}(tile, ...)" if name in _FUNCTIONS else _ATTRIBUTES.get(name)
        if instead is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        raise NoAttributeError(
            str(broken_rule(f".{name} of the tile {self.name}", limit="a tile is no NumPy array", hint=instead))
        )


_OPERATORS = {
    "add": "nl.add",
    "sub": "nl.subtract",
    "mul": "nl.multiply",
    "truediv": "nl.divide",
    "pow": "nl.power",
    "mod": "nl.mod",
    "matmul": "nl.matmul",
    "and": "nl.bitwise_and",
    "or": "nl.bitwise_or",
    "xor": "nl.bitwise_xor",
    "lshift": "nl.left_shift",
    "rshift": "nl.right_shift",
    "lt": "nl.less",
    "le": "nl.less_equal",
    "gt": "nl.greater",
    "ge": "nl.greater_equal",
}
_SIGNS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "truediv": "/",
    "pow": "**",
    "mod": "%",
    "matmul": "@",
    "and": "&",
    "or": "|",
    "xor": "^",
    "lshift": "<<",
    "rshift": ">>",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
}


def _refuse(name: str) -> Callable[[Refusals, Any], Any]:
    """An operator of the old interface, which says what took its place."""

    def operator(self: Refusals, other: Any) -> Any:
        if other is print:
            raise broken_rule(
                "print >> tile",
                limit="print is a function since Python 3",
                hint="write print(tile), or nl.device_print('name', tile)",
            )
        raise broken_rule(
            f"{_SIGNS[name]} on the tile {self.name}",
            limit="tiles have no Python operators",
            hint=f"write {_OPERATORS[name]}(x, y), or the instruction with a dst= from nisa",
        )

    return operator


for _name in _OPERATORS:
    setattr(Refusals, f"__{_name}__", _refuse(_name))
    if _name not in ("lt", "le", "gt", "ge"):
        setattr(Refusals, f"__r{_name}__", _refuse(_name))
        setattr(Refusals, f"__i{_name}__", _refuse(_name))
