"""Loops. Kernels are traced by ordinary Python, so the static ranges are `range`; dynamic ones count in a register.

Source: Neuron documentation 2.32, `nki.language`: affine_range, sequential_range, static_range, dynamic_range,
fori_loop, while_loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from course_lib.nki.errors import broken_rule
from course_lib.nki.registers import VirtualRegister
from course_lib.nki.session import current_core
from course_lib.nki.tensor import NkiTensor


def _static(name: str, start: Any, stop: Any, step: Any) -> range:
    for value in (start, stop, step):
        if isinstance(value, NkiTensor | VirtualRegister | float):
            raise broken_rule(
                f"nl.{name} with {value!r}",
                limit="whole numbers that are known when the kernel is built",
                hint="use // for whole quotients; for bounds known on the device only use nl.fori_loop",
            )
    return range(start) if stop is None else range(start, stop, step)


def affine_range(start: int, stop: int | None = None, step: int = 1) -> range:
    """`range`; the official name is deprecated."""
    return _static("affine_range", start, stop, step)


def sequential_range(start: int, stop: int | None = None, step: int = 1) -> range:
    """`range`; the official name is deprecated."""
    return _static("sequential_range", start, stop, step)


def static_range(start: int, stop: int | None = None, step: int = 1) -> range:
    """`range`; the official name is deprecated."""
    return _static("static_range", start, stop, step)


def _turns(name: str, start: Any, stop: Any, step: Any) -> range:
    if not isinstance(step, int) or step < 1:
        raise broken_rule(f"nl.{name}: step={step!r}", limit="a positive whole number, known when the kernel is built")
    for value in (start, stop):
        if isinstance(value, NkiTensor):
            raise broken_rule(
                f"nl.{name}: a bound is the tile {value.name}",
                limit="numbers or registers",
                hint="load it first: reg = nisa.register_alloc(); nisa.register_load(reg, tile)",
            )
    return range(int(start), int(stop), step)


def dynamic_range(start: Any, stop: Any = None, step: int = 1) -> Iterator[VirtualRegister]:
    """A loop that runs on the device; removed in NKI 0.7, where `nl.fori_loop` takes its place.

    Args:
        start, stop: numbers or registers.
        step: positive whole number.
    """
    for number in _turns("dynamic_range", 0 if stop is None else start, start if stop is None else stop, step):
        yield VirtualRegister(number, frozen=True)


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any], Any], step: int = 1) -> None:
    """`for i in range(lower, upper, step): body_fun(i)` on the device.

    Args:
        lower, upper: numbers or registers.
        body_fun: is called with the loop's register, which it may not write to.
        step: positive whole number.
    """
    for number in _turns("fori_loop", lower, upper, step):
        body_fun(VirtualRegister(number, frozen=True))


def while_loop(init: Any, body_fun: Callable[[Any], Any]) -> None:
    """Calls `body_fun` with a register, and again with what it returns, until that is zero.

    Args:
        init: register; with zero, the body never runs.
        body_fun: gets the register and returns the next condition.

    Raises:
        NkiValidationError: when the body returns no register, or the loop never ends.
    """
    limit = current_core().options.max_instructions
    condition, rounds = init, 0
    while int(condition) != 0:
        condition = body_fun(condition)
        rounds += 1
        if not isinstance(condition, VirtualRegister | int):
            raise broken_rule(
                f"nl.while_loop: the body returns {type(condition).__name__}",
                limit="a register with the next condition",
                hint="load it with nisa.register_load(reg, tile) and return reg",
            )
        if rounds > limit:
            raise broken_rule(
                f"nl.while_loop: {rounds:,} rounds",
                limit=f"{limit:,} (Options.max_instructions)",
                hint="the condition never becomes zero",
            )
