"""Rules that many instructions share, each with its message. All raise `NkiValidationError`.

Source: Neuron documentation 2.32, `nki.isa` pages and the NKI architecture guides.
"""

from __future__ import annotations

import math
from typing import Any

from course_lib.nki.constants import MemoryRegion, engine
from course_lib.nki.errors import broken_rule
from course_lib.nki.tensor import NkiTensor

SBUF, PSUM = MemoryRegion.sbuf, MemoryRegion.psum


def need_tensor(op: str, role: str, value: Any) -> NkiTensor:
    """Refuses anything but a tile."""
    if isinstance(value, NkiTensor):
        return value
    raise broken_rule(f"{op}: {role} is {type(value).__name__}", limit="a tile", hint=tile_hint(value))


def tile_hint(value: Any) -> str:
    """What to do about something that was passed where a tile belongs."""
    if type(value).__name__ == "NkiInstruction":
        return "instructions return a handle, not a tile: allocate dst, pass dst=dst, and go on with dst"
    if isinstance(value, list | tuple):
        return "pass one tile at a time: loop over the list"
    if isinstance(value, int | float):
        return "fill a tile with it: nisa.memset(dst=tile, value=...)"
    if type(value).__module__.partition(".")[0] in ("numpy", "torch"):
        return "hand arrays to the kernel as arguments and load them; for constants use nl.shared_constant"
    return "allocate one with nl.ndarray(shape, dtype, buffer=nl.sbuf)"


def need_on_chip(op: str, role: str, tensor: NkiTensor) -> None:
    """Refuses HBM: compute engines reach SBUF and PSUM alone."""
    if not tensor.storage.on_chip:
        raise broken_rule(
            f"{op}: {role} {tensor.name} is in {tensor.buffer.value}",
            limit="compute engines read and write SBUF and PSUM",
            hint="bring it on chip with nisa.dma_copy first",
        )


def need_buffer(op: str, role: str, tensor: NkiTensor, buffer: MemoryRegion, hint: str = "") -> None:
    """Refuses a tile in another region."""
    if tensor.buffer is not buffer:
        raise broken_rule(
            f"{op}: {role} {tensor.name} is in {tensor.buffer.value}", limit=f"it must be in {buffer.value}", hint=hint
        )


def need_same_layout(op: str, first: NkiTensor, second: NkiTensor, roles: str) -> None:
    """Refuses different partition counts or different numbers of elements for each partition."""
    a, b = first.shape, second.shape
    if a == b:
        return
    if a[0] != b[0] or math.prod(a[1:]) != math.prod(b[1:]):
        raise broken_rule(
            f"{op}: {roles} have shapes {a} and {b}",
            limit="the same partitions and the same number of elements in each partition",
            hint="slice the larger one, or broadcast a (P, 1) operand with nisa.tensor_scalar",
        )


def need_sbuf_on_gpsimd(op: str, on: engine, *tensors: NkiTensor) -> None:
    """Refuses PSUM on the GpSimd engine."""
    if on is engine.gpsimd:
        for tensor in tensors:
            if tensor.buffer is PSUM:
                raise broken_rule(
                    f"{op} on the GpSimd engine with {tensor.name} in PSUM",
                    limit="GpSimd reaches SBUF only",
                    hint="copy it to SBUF with nisa.tensor_copy, or use the vector engine",
                )


def need_engine(op: str, on: Any, *allowed: engine) -> None:
    """Refuses an engine that has no such instruction; `unknown` lets the compiler choose."""
    if on is not engine.unknown and on not in allowed:
        names = ", ".join(f"nisa.engine.{choice.name}" for choice in allowed)
        raise broken_rule(f"{op}: engine={on!r}", limit=names, hint="leave engine out")
