"""Collectives on equal parts: all_reduce, all_gather, reduce_scatter, all_to_all.

Source: Neuron documentation 2.32, `nki.collectives`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from course_lib.nki.collectives.call import (
    check_dim,
    check_pairs,
    check_reduction,
    check_shape,
    check_tensors,
    exchange,
    reduced,
)
from course_lib.nki.collectives.group import ReplicaGroup, group_of
from course_lib.nki.collectives.world import here
from course_lib.nki.errors import broken_rule
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import store

Tensors = list[NkiTensor]


def _begin(op: str, srcs: Any, dsts: Any, group: Any, *, sbuf: bool) -> list[int]:
    _, world, rank = here()
    sources = check_tensors(op, "srcs", srcs, sbuf=sbuf)
    check_pairs(op, sources, check_tensors(op, "dsts", dsts, sbuf=sbuf))
    return group_of(op, group, rank, world.ranks)


def all_reduce(
    srcs: Tensors,
    dsts: Tensors,
    replica_group: ReplicaGroup,
    op: Any,
    priority: int | None = None,
    name: str | None = None,
) -> None:
    """Every rank of a group receives the reduction of all their inputs.

    Args:
        srcs: inputs, in HBM, or one in SBUF.
        dsts: results, of the same shapes and formats.
        replica_group: which ranks take part together.
        op: nl.add, nl.minimum or nl.maximum.
        priority: 0 to 3 (NeuronCore-v4).
        name: a name for the instruction.

    Raises:
        NkiValidationError: for tensors that don't fit, or ranks that disagree.
    """
    group = _begin("all_reduce", srcs, dsts, replica_group, sbuf=True)
    reduction = check_reduction("all_reduce", op)
    for src, dst in zip(srcs, dsts, strict=True):
        check_shape("all_reduce", dst, src.shape, "the shape of src")
    parts, _ = exchange("all_reduce", srcs, dsts, group, f"op=nl.{reduction.name}", priority)
    if here()[0].options.execute:
        for place, dst in enumerate(dsts):
            store(dst, reduced(reduction, [parts[rank][place] for rank in group]))


def all_gather(
    srcs: Tensors,
    dsts: Tensors,
    replica_group: ReplicaGroup,
    collective_dim: int,
    priority: int | None = None,
    name: str | None = None,
) -> None:
    """Every rank of a group receives all their inputs, one behind the other in the order of the group.

    Args:
        srcs: inputs, in HBM, or one 2-D tile in SBUF.
        dsts: results, longer by the size of the group along `collective_dim`.
        replica_group: which ranks take part together.
        collective_dim: 0; in SBUF 0 or 1.
        priority: 0 to 3 (NeuronCore-v4).
        name: a name for the instruction.

    Raises:
        NkiValidationError: for tensors that don't fit, or ranks that disagree.
    """
    group = _begin("all_gather", srcs, dsts, replica_group, sbuf=True)
    check_dim("all_gather", collective_dim, srcs, sbuf=(0, 1))
    for src, dst in zip(srcs, dsts, strict=True):
        if src.on_chip and src.ndim != 2:
            raise broken_rule(f"all_gather: src {src.name} in SBUF has shape {src.shape}", limit="two dimensions")
        wanted = [size * (len(group) if dim == collective_dim else 1) for dim, size in enumerate(src.shape)]
        check_shape("all_gather", dst, tuple(wanted), f"{len(group)} times src along dimension {collective_dim}")
    parts, _ = exchange("all_gather", srcs, dsts, group, f"collective_dim={collective_dim}", priority)
    if here()[0].options.execute:
        for place, dst in enumerate(dsts):
            store(dst, np.concatenate([parts[rank][place] for rank in group], axis=collective_dim))


def reduce_scatter(
    srcs: Tensors,
    dsts: Tensors,
    replica_group: ReplicaGroup,
    collective_dim: int,
    op: Any,
    priority: int | None = None,
    name: str | None = None,
) -> None:
    """Every rank of a group receives its part of the reduction of all their inputs.

    Args:
        srcs: inputs, in HBM, or one in SBUF.
        dsts: results, shorter by the size of the group along dimension 0.
        replica_group: which ranks take part together; the i-th of a group receives part i.
        collective_dim: 0.
        op: nl.add, nl.minimum or nl.maximum.
        priority: 0 to 3 (NeuronCore-v4).
        name: a name for the instruction.

    Raises:
        NkiValidationError: for tensors that don't fit, or ranks that disagree.
    """
    group = _begin("reduce_scatter", srcs, dsts, replica_group, sbuf=True)
    reduction = check_reduction("reduce_scatter", op)
    check_dim("reduce_scatter", collective_dim, srcs, sbuf=(0,))
    for src, dst in zip(srcs, dsts, strict=True):
        _check_divides("reduce_scatter", src, len(group))
        wanted = (src.shape[0] // len(group), *src.shape[1:])
        check_shape("reduce_scatter", dst, wanted, f"1/{len(group)} of src along dimension 0")
    parts, _ = exchange("reduce_scatter", srcs, dsts, group, f"op=nl.{reduction.name}", priority)
    core, _, rank = here()
    if core.options.execute:
        for place, dst in enumerate(dsts):
            rows = dst.shape[0]
            first = group.index(rank) * rows
            store(dst, reduced(reduction, [parts[other][place][first : first + rows] for other in group]))


def all_to_all(
    srcs: Tensors,
    dsts: Tensors,
    replica_group: ReplicaGroup,
    collective_dim: int,
    priority: int | None = None,
    name: str | None = None,
) -> None:
    """Part i of every rank's input goes to the i-th rank of the group.

    Args:
        srcs: inputs in HBM.
        dsts: results of the same shapes: the parts received, in the order of the group.
        replica_group: which ranks take part together.
        collective_dim: 0.
        priority: 0 to 3 (NeuronCore-v4).
        name: a name for the instruction.

    Raises:
        NkiValidationError: for tensors that don't fit, or ranks that disagree.
    """
    group = _begin("all_to_all", srcs, dsts, replica_group, sbuf=False)
    check_dim("all_to_all", collective_dim, srcs, sbuf=())
    for src, dst in zip(srcs, dsts, strict=True):
        _check_divides("all_to_all", src, len(group))
        check_shape("all_to_all", dst, src.shape, "the shape of src")
    parts, _ = exchange("all_to_all", srcs, dsts, group, "", priority)
    core, _, rank = here()
    if core.options.execute:
        for place, dst in enumerate(dsts):
            rows = dst.shape[0] // len(group)
            first = group.index(rank) * rows
            store(dst, np.concatenate([parts[other][place][first : first + rows] for other in group]))


def _check_divides(op: str, src: NkiTensor, count: int) -> None:
    if src.shape[0] % count:
        raise broken_rule(
            f"{op}: src {src.name} has shape {src.shape}",
            limit=f"dimension 0 is a multiple of {count}, the ranks of the group",
        )
