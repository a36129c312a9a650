"""A kernel's arguments on their way in and back: arrays become tensors in HBM, and what the kernel wrote returns.

Source: Neuron documentation 2.32, "NKI CPU simulator" (arrays, in-place changes), "NKI migration guides" (tuples, no
lists), "NKI language guide" (objects as arguments).
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from course_lib.nki.constants import MemoryRegion
from course_lib.nki.convert import is_array, to_array, write_back
from course_lib.nki.errors import broken_rule
from course_lib.nki.objects import NKIObject
from course_lib.nki.options import Options
from course_lib.nki.session import Core
from course_lib.nki.tensor import NkiTensor


class Arguments:
    """The arguments of one run.

    Attributes:
        torch: whether a torch tensor was among them, so that results become torch tensors.

    Args:
        core: the core that adopts the memory.
        buffer: the region it lies in.
        options: settings of the simulation.
    """

    def __init__(self, core: Core, buffer: MemoryRegion, options: Options) -> None:
        self._core, self._buffer, self._options = core, buffer, options
        self._known: dict[int, tuple[Any, NkiTensor]] = {}
        self.torch = False

    def bind(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Positional and named arguments as the kernel gets them."""
        names = _parameter_names(function)
        placed = [
            self.wrap(value, names[place] if place < len(names) else f"argument {place}")
            for place, value in enumerate(args)
        ]
        return placed, {name: self.wrap(value, name) for name, value in kwargs.items()}

    def wrap(self, value: Any, name: str) -> Any:
        """One argument; tuples and configuration objects are searched for arrays, other values pass as they are.

        Raises:
            NkiValidationError: for a list, or an array in a format that the hardware does not have.
        """
        if is_array(value):
            return self._tensor(value, name)
        if isinstance(value, list):
            raise broken_rule(
                f"the kernel's argument {name!r} is a list",
                limit="arrays, numbers, strings, None, enums, configuration objects, and tuples of these",
                hint=f"pass tuple({name})",
            )
        if isinstance(value, tuple):
            made = [self.wrap(item, f"{name}[{place}]") for place, item in enumerate(value)]
            return type(value)(*made) if hasattr(value, "_fields") else tuple(made)
        if _is_record(value):
            return self._record(value, name)
        return value

    def _tensor(self, value: Any, name: str) -> NkiTensor:
        self.torch = self.torch or not isinstance(value, np.ndarray)
        if id(value) in self._known:  # one array given twice is one tensor
            return self._known[id(value)][1]
        array, dtype = to_array(value, self._options, name)
        made = self._core.adopt(array, dtype, self._buffer, name)
        self._known[id(value)] = (value, made)
        return made

    def _record(self, value: Any, name: str) -> Any:
        held = {key: item for key, item in vars(value).items() if is_array(item) or isinstance(item, tuple)}
        changed = {key: self.wrap(item, f"{name}.{key}") for key, item in held.items()}
        if not any(changed[key] is not held[key] for key in held):
            return value
        made = copy.copy(value)
        for key, item in changed.items():
            object.__setattr__(made, key, item)
        return made

    def write_back(self) -> None:
        """Gives the caller's arrays what the kernel wrote, where the simulator worked on a copy."""
        for value, tensor in self._known.values():
            if tensor.storage.first >= 0:
                write_back(value, tensor.array)


def _is_record(value: Any) -> bool:
    if isinstance(value, type) or not hasattr(value, "__dict__"):
        return False
    return isinstance(value, NKIObject) or dataclasses.is_dataclass(value)


def _parameter_names(function: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # a callable without a readable signature
        return []
