"""What tiles refuse: Python operators, NumPy functions and assignment, each with what takes its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course_lib.nki.errors import broken_rule
from course_lib.nki.objects import NKIObject


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

    # NumPy must not treat a tile as an object and loop over it; the operators below then get their turn.
    __array_ufunc__ = None

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise broken_rule(
            f"a NumPy function was given the tile {self.name}",
            limit="values of a tile exist on the device only",
            hint="compute with nl.* or nisa.*; to look at values while debugging use print(tile) or nl.device_print",
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
