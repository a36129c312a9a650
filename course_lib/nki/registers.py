"""Registers of the engines' sequencers: scalars that dynamic addresses and loop bounds take while a kernel runs.

In the simulator a register behaves like the integer that it holds. Source: Neuron documentation 2.32,
`nki.isa.VirtualRegister`, "NKI language guide".
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from course_lib.nki.errors import broken_rule
from course_lib.nki.objects import NKIObject

LOWEST, HIGHEST = -(2**31), 2**32 - 1


class VirtualRegister(NKIObject, record=False):
    """A 32-bit scalar that instructions read and write.

    Args:
        value: what it holds; None when it was never set.
        frozen: whether writing to it is refused, as for the variable of a dynamic loop.
        unknown: why the value cannot be known, e.g. because values are not computed; empty when it can.
    """

    __slots__ = ("_value", "frozen", "unknown")

    def __init__(self, value: int | float | None = None, frozen: bool = False, unknown: str = "") -> None:
        self._value, self.frozen, self.unknown = value, frozen, unknown

    @property
    def value(self) -> int | float:
        """What the register holds.

        Raises:
            NkiValidationError: when it was never set, or when the simulation doesn't compute values.
        """
        if self.unknown:
            raise broken_rule(
                self.unknown,
                limit="with execute=False only shapes are followed, and no values exist",
                hint="run with execute=True, or give the loop bound or index as a Python integer",
            )
        if self._value is None:
            raise broken_rule(
                "a register is read before anything was written to it",
                limit="a fresh register holds no value",
                hint="nisa.register_alloc(0), nisa.register_move or nisa.register_load first",
            )
        return self._value

    def set(self, value: int | float | None, unknown: str = "") -> None:
        """Writes the register.

        Raises:
            NkiValidationError: for a frozen register, or a value of more than 32 bits.
        """
        if self.frozen:
            raise broken_rule(
                "a write to the variable of a dynamic loop",
                limit="the loop's own register is read-only",
                hint="copy it into a register of your own with nisa.register_move",
            )
        if isinstance(value, int) and not LOWEST <= value <= HIGHEST:
            raise broken_rule(f"{value} in a register", limit=f"32 bits: {LOWEST} to {HIGHEST}")
        self._value, self.unknown = value, unknown

    def __int__(self) -> int:
        return int(self.value)

    def __index__(self) -> int:
        value = self.value
        if value != int(value):
            raise broken_rule(
                f"the register's value {value} as an index", limit="a whole number", hint="load it from an int32 tile"
            )
        return int(value)

    def __float__(self) -> float:
        return float(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __neg__(self) -> int | float:
        return -self.value

    def __repr__(self) -> str:
        return f"VirtualRegister({'?' if self.unknown else self._value})"

    # Two registers compare by what they hold, and that changes: there is no stable hash.
    __hash__ = None  # type: ignore[assignment]


def _forward(operate: Callable[..., Any], swapped: bool = False) -> Callable[[VirtualRegister, Any], Any]:
    def method(self: VirtualRegister, other: Any) -> Any:
        if isinstance(other, VirtualRegister):
            other = other.value
        if not isinstance(other, int | float | np.number):
            return NotImplemented
        return operate(other, self.value) if swapped else operate(self.value, other)

    return method


for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(VirtualRegister, f"__{_name}__", _forward(getattr(operator, _name)))
for _name in ("add", "sub", "mul", "floordiv", "truediv", "mod", "and", "or", "xor", "lshift", "rshift"):
    setattr(VirtualRegister, f"__{_name}__", _forward(getattr(operator, f"__{_name}__")))
    setattr(VirtualRegister, f"__r{_name}__", _forward(getattr(operator, f"__{_name}__"), swapped=True))
