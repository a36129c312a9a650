"""Operators that instructions take as `op=`: what each computes, of which kind it is, and which generations have it.

`nki.language`'s functions are these objects: `nl.add(x, y)` calls one, `op=nl.add` passes it.

Source: Neuron documentation 2.32, "Supported Math Operators for NKI ISA".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course_lib.nki.constants import nc_version


class Op:
    """An operator.

    Attributes:
        name: as in `nki.language`.
        compute: NumPy function of one or two float32 (bit operators: integer) arrays; None for tokens that have a meaning
            of their own in one instruction.
        inputs: 1 or 2.
        bits: whether it works on bit patterns of integers.
        reducible: whether it may reduce.
        since: first generation that has it as an operator of the vector engine.
        call: the function of `nki.language` behind this name, set there.
    """

    __slots__ = ("bits", "call", "compute", "inputs", "name", "reducible", "since")

    def __init__(
        self,
        name: str,
        compute: Callable[..., Any] | None,
        inputs: int,
        *,
        bits: bool = False,
        reducible: bool = False,
        since: nc_version = nc_version.gen2,
    ) -> None:
        self.name, self.compute, self.inputs = name, compute, inputs
        self.bits, self.reducible, self.since = bits, reducible, since
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


add = define("add", np.add, 2, reducible=True)
subtract = define("subtract", np.subtract, 2, reducible=True)
multiply = define("multiply", np.multiply, 2, reducible=True)
maximum = define("maximum", np.maximum, 2, reducible=True)
minimum = define("minimum", np.minimum, 2, reducible=True)
