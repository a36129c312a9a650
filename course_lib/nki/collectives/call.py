"""What all collectives share: the rules for their tensors, the exchange, and what is recorded.

Source: Neuron documentation 2.32, `nki.collectives`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from course_lib.nki.collectives.world import here
from course_lib.nki.constants import MemoryRegion, engine, nc_version
from course_lib.nki.errors import broken_rule
from course_lib.nki.operators import Op
from course_lib.nki.tensor import NkiTensor, is_hbm
from course_lib.nki.values import raw

_REDUCE = ("add", "minimum", "maximum")
Shape = tuple[int, ...]


def check_tensors(op: str, role: str, tensors: Any, *, sbuf: bool, most: int | None = None) -> tuple[NkiTensor, ...]:
    """The tensors of one list argument.

    Args:
        op: the collective.
        role: the argument's name.
        tensors: its value.
        sbuf: whether SBUF is allowed.
        most: the largest number of tensors; None for any number in HBM.

    Raises:
        NkiValidationError: for anything but a list of tensors in HBM, or in SBUF where that is allowed.
    """
    if not isinstance(tensors, list | tuple) or not tensors or not all(isinstance(t, NkiTensor) for t in tensors):
        raise broken_rule(
            f"{op}: {role} is {type(tensors).__name__}", limit="a list of tensors", hint=f"{role}=[tensor]"
        )
    hbm = [is_hbm(tensor.buffer) for tensor in tensors]
    for tensor, in_hbm in zip(tensors, hbm, strict=True):
        if not in_hbm and not (sbuf and tensor.buffer is MemoryRegion.sbuf):
            raise broken_rule(
                f"{op}: {role} {tensor.name} is in {tensor.buffer.value}",
                limit="HBM or SBUF" if sbuf else "HBM",
                hint="copy it to HBM with nisa.dma_copy first",
            )
        if tensor.is_indirect():
            raise broken_rule(f"{op}: {role} {tensor.name} is an indirect view", limit="direct views")
    if len(set(hbm)) > 1:
        raise broken_rule(f"{op}: {role} mixes HBM and SBUF", limit="all tensors in HBM, or all in SBUF")
    allowed = most if most is not None else None if hbm[0] else 1
    if allowed is not None and len(tensors) > allowed:
        raise broken_rule(
            f"{op}: {len(tensors)} tensors in {role}",
            limit=f"{allowed}" + ("" if most else " in SBUF; several tensors need HBM"),
            hint="call it once for each tensor",
        )
    return tuple(tensors)


def check_pairs(op: str, srcs: Sequence[NkiTensor], dsts: Sequence[NkiTensor]) -> None:
    """Refuses lists that don't pair up in number, region and format."""
    if len(srcs) != len(dsts):
        raise broken_rule(f"{op}: {len(srcs)} srcs and {len(dsts)} dsts", limit="as many results as inputs")
    for src, dst in zip(srcs, dsts, strict=True):
        if is_hbm(src.buffer) != is_hbm(dst.buffer):
            raise broken_rule(
                f"{op}: src {src.name} in {src.buffer.value}, dst {dst.name} in {dst.buffer.value}",
                limit="all tensors in HBM, or all in SBUF",
            )
        if src.dtype != dst.dtype:
            raise broken_rule(f"{op}: src is {src.dtype}, dst {dst.dtype}", limit="the same format")


def check_shape(op: str, dst: NkiTensor, wanted: Shape, why: str) -> None:
    """Refuses a result of another shape."""
    if dst.shape != wanted:
        raise broken_rule(f"{op}: dst has shape {dst.shape}", limit=f"{wanted}: {why}")


def check_dim(op: str, dim: Any, tensors: Sequence[NkiTensor], sbuf: tuple[int, ...]) -> None:
    """Refuses a collective_dim that the hardware does not have."""
    allowed = (0,) if is_hbm(tensors[0].buffer) else sbuf
    if dim not in allowed:
        raise broken_rule(
            f"{op}: collective_dim={dim!r}",
            limit=" or ".join(map(str, allowed)) + f" for tensors in {tensors[0].buffer.value}",
            hint="rearrange the tensor so that this dimension comes first",
        )


def check_reduction(op: str, reduction: Any) -> Op:
    """The operator of a reduction."""
    if not isinstance(reduction, Op) or reduction.name not in _REDUCE:
        raise broken_rule(f"{op}: op={reduction!r}", limit="nl.add, nl.minimum or nl.maximum")
    return reduction


def reduced(op: Op, parts: Sequence[np.ndarray]) -> np.ndarray:
    """Parts combined in the order of the group, which makes the rounding the same in every run and on every rank."""
    assert op.compute is not None
    wide = [part if part.dtype.kind in "iu" else part.astype(np.float32) for part in parts]
    total = wide[0]
    for part in wide[1:]:
        total = np.asarray(op.compute(total, part))
    return total


def exchange(
    op: str,
    srcs: Sequence[NkiTensor],
    dsts: Sequence[NkiTensor],
    group: Sequence[int],
    agreed: Any,
    priority: int | None,
    *,
    key: str = "",
    alike: bool = True,
    also: Any = None,
    extra: Sequence[NkiTensor] = (),
    outputs: Sequence[NkiTensor] = (),
) -> tuple[dict[int, list[np.ndarray]], dict[int, Any]]:
    """Records a collective and brings every rank's inputs to every rank of the group.

    Args:
        op: the collective.
        srcs, dsts: what this rank gives and receives.
        group: ranks that take part.
        agreed: arguments that must be equal on all of them.
        priority: 0 to 3, NeuronCore-v4 only.
        key: tells apart what may be in flight at one time.
        alike: whether all give as many tensors, of the same shapes and formats.
        also: further values for the others.
        extra: further tensors that are read.
        outputs: further tensors that are written.

    Returns:
        Each rank's inputs as copies, and each rank's `also`.

    Raises:
        NkiValidationError: when ranks disagree, or one of them never comes.
    """
    core, world, rank = here()
    if priority is not None and core.version < nc_version.gen4:
        raise broken_rule(f"{op}: priority", limit="from NeuronCore-v4", generation=core.version.name)
    if priority is not None and priority not in range(4):
        raise broken_rule(f"{op}: priority={priority}", limit="0 to 3")
    about = {
        "operands": (*srcs, *dsts),
        "ranks": len(group),
        "bytes": sum(tensor.size * tensor.dtype.itemsize for tensor in srcs),
    }
    core.issue(op, engine.dma, (*srcs, *extra), (*dsts, *outputs), about)
    values = [raw(tensor).copy() if core.options.execute else tensor.memory for tensor in srcs]
    terms = (agreed, [(tensor.shape, str(tensor.dtype)) for tensor in srcs] if alike else [])
    given = world.exchange(core, rank, f"{op}{key}", (terms, values, also), group)
    for other in group:
        if given[other][0] != terms:
            raise broken_rule(
                f"{op}: rank {rank} calls it with {_say(terms)}, rank {other} with {_say(given[other][0])}",
                limit="all ranks of a group make the same call",
            )
    return {other: given[other][1] for other in group}, {other: given[other][2] for other in group}


def _say(terms: Any) -> str:
    agreed, tensors = terms
    listed = ", ".join(f"{shape} {dtype}" for shape, dtype in tensors)
    return f"{listed}{f' and {agreed}' if agreed else ''}"
