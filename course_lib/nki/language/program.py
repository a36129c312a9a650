"""The launch that a kernel runs in, printing from a kernel, and program order.

Source: Neuron documentation 2.32, `nki.language`: program_id, num_programs, program_ndim, device_print, no_reorder.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.rules import need_tensor
from course_lib.nki.session import current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import raw


def _axis_zero(function: str, axis: Any) -> None:
    axes = tuple(axis) if isinstance(axis, tuple | list) else (axis,)
    if axes != (0,):
        raise broken_rule(
            f"nl.{function}({axis})",
            limit="axis 0: a launch has one dimension, the cores of a logical core",
            hint="loop over the other dimensions inside the kernel",
        )


def program_id(axis: int = 0) -> int:
    """Which core of the launch runs this: 0, or 0 and 1 under LNC2."""
    _axis_zero("program_id", axis)
    return current_core().program_id


def num_programs(axes: Any = 0) -> int:
    """How many cores the launch has."""
    _axis_zero("num_programs", axes)
    return current_core().num_programs


def program_ndim() -> int:
    """Dimensions of the launch: 1 after `kernel[n]`, 0 without."""
    return 1 if current_core().grid else 0


def device_print(print_prefix: str, tensor: NkiTensor) -> None:
    """Prints a tensor's values, with a text before them.

    Args:
        print_prefix: constant text.
        tensor: tile in SBUF or tensor in HBM.
    """
    need_tensor("nl.device_print", "tensor", tensor)
    if not current_core().options.execute:
        return
    values = raw(tensor)
    shown = values if values.dtype.kind in "iufb" else values.astype(np.float32)
    print(f"{print_prefix} {np.array2string(shown, threshold=1000)}")


@contextmanager
def no_reorder() -> Iterator[None]:
    """Within `with nl.no_reorder():` instructions run in program order, one after the other."""
    core = current_core()
    first = core.count
    yield
    if core.options.record:
        for number in range(first + 1, core.count):
            core.instructions[number].depends_on.append(number - 1)
