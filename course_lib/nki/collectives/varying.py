"""Collectives whose parts differ in length: all_gather_v and all_to_all_v, steered by a table in memory.

Source: Neuron documentation 2.32, `nki.collectives.all_gather_v`, `all_to_all_v`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from course_lib.nki.collectives.call import check_pairs, check_tensors, exchange
from course_lib.nki.collectives.group import ReplicaGroup, group_of
from course_lib.nki.collectives.world import here
from course_lib.nki.constants import nc_version
from course_lib.nki.errors import broken_rule
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import raw, store

_SEND_COUNT, _SEND_START, _RECEIVED, _RECEIVE_START = range(4)


def all_gather_v(
    srcs: list[NkiTensor],
    dsts: list[NkiTensor],
    replica_group: ReplicaGroup,
    metadata_tensor: NkiTensor,
    recv_counts_known: bool = False,
    has_rdispls: bool = False,
    priority: int | None = None,
    name: str | None = None,
) -> None:
    """Every rank sends one chunk, of its own length, to all ranks of its group.

    Args:
        srcs, dsts: one tensor each in HBM, taken as flat; dst has one slot of equal size for each rank.
        replica_group: which ranks take part together.
        metadata_tensor: uint32 (3, ranks), in SBUF (1, 3, ranks): counts and starts of what is sent (first column),
            counts received.
        recv_counts_known: leaves the third row as it is.
        has_rdispls: not supported by the hardware yet.
        priority: 0 to 3 (NeuronCore-v4).
        name: a name for the instruction.

    Raises:
        NkiValidationError: for tensors that don't fit, or chunks that leave them.
    """
    if has_rdispls:
        raise broken_rule("all_gather_v: has_rdispls=True", limit="not supported by NKI 0.6; leave it out")
    _vary("all_gather_v", srcs, dsts, replica_group, metadata_tensor, recv_counts_known, False, priority, True)


def all_to_all_v(
    srcs: list[NkiTensor],
    dsts: list[NkiTensor],
    replica_group: ReplicaGroup,
    metadata_tensor: NkiTensor,
    recv_counts_known: bool = False,
    has_rdispls: bool = False,
    priority: int | None = None,
    name: str | None = None,
) -> None:
    """Every rank sends a chunk of its own length to each rank of its group.

    Args:
        srcs, dsts: one tensor each in HBM, taken as flat.
        replica_group: which ranks take part together.
        metadata_tensor: uint32 (3 or 4, ranks), in SBUF with a leading 1: counts and starts of what goes to each rank,
            counts received, starts in dst.
        recv_counts_known: leaves the third row as it is.
        has_rdispls: the fourth row says where each chunk goes; else dst has a slot of equal size for each rank.
        priority: 0 to 3 (NeuronCore-v4).
        name: a name for the instruction.

    Raises:
        NkiValidationError: for tensors that don't fit, or chunks that leave them.
    """
    core = here()[0]
    if has_rdispls and core.version < nc_version.gen4:
        raise broken_rule("all_to_all_v: has_rdispls=True", limit="from NeuronCore-v4", generation=core.version.name)
    _vary("all_to_all_v", srcs, dsts, replica_group, metadata_tensor, recv_counts_known, has_rdispls, priority, False)


def _vary(
    op: str,
    srcs: Any,
    dsts: Any,
    replica_group: Any,
    metadata: Any,
    counts_known: bool,
    placed: bool,
    priority: int | None,
    same_for_all: bool,
) -> None:
    core, world, rank = here()
    (src,) = check_tensors(op, "srcs", srcs, sbuf=False, most=1)
    (dst,) = check_tensors(op, "dsts", dsts, sbuf=False, most=1)
    if src.dtype != dst.dtype:
        check_pairs(op, (src,), (dst,))
    group = group_of(op, replica_group, rank, world.ranks)
    table = _table(op, metadata, len(group), placed)
    if dst.size % len(group):
        raise broken_rule(f"{op}: dst has {dst.size:,} elements", limit=f"a multiple of the {len(group)} ranks")
    if not core.options.execute:
        exchange(op, (), (dst,), group, str(src.dtype), priority, extra=(src, metadata))
        return
    rows = raw(metadata).reshape(table).astype(np.int64)
    chunks = []
    flat = raw(src).reshape(-1)
    for place, to in enumerate(group):
        column = 0 if same_for_all else place
        start, count = int(rows[_SEND_START, column]), int(rows[_SEND_COUNT, column])
        if start + count > flat.size:
            raise broken_rule(
                f"{op}: rank {rank} sends elements {start:,} to {start + count - 1:,} to rank {to}",
                limit=f"src has {flat.size:,} elements",
            )
        chunks.append(flat[start : start + count].copy())
    outputs = () if counts_known else (metadata,)
    _, sent = exchange(
        op, (), (dst,), group, str(src.dtype), priority, also=chunks, extra=(src, metadata), outputs=outputs
    )
    me = group.index(rank)
    received = [sent[other][me] for other in group]
    result = raw(dst).reshape(-1).copy()
    slot = dst.size // len(group)
    for place, (other, chunk) in enumerate(zip(group, received, strict=True)):
        start = int(rows[_RECEIVE_START, place]) if placed else slot * place
        room = dst.size - start if placed else slot
        if chunk.size > room:
            raise broken_rule(
                f"{op}: rank {other} sends {chunk.size:,} elements to rank {rank}",
                limit=f"{max(room, 0):,} elements of dst from element {start:,}",
                hint="make dst larger, or send less",
            )
        result[start : start + chunk.size] = chunk
    store(dst, result.reshape(dst.shape))
    if not counts_known:
        rows[_RECEIVED] = [chunk.size for chunk in received]
        store(metadata, rows.astype(np.uint32).reshape(metadata.shape))


def _table(op: str, metadata: Any, ranks: int, placed: bool) -> tuple[int, int]:
    rows = 4 if placed else 3
    (tensor,) = check_tensors(op, "metadata_tensor", [metadata], sbuf=True)
    wanted = (1, rows, ranks) if tensor.on_chip else (rows, ranks)
    if tensor.dtype != "uint32" or tensor.shape != wanted:
        raise broken_rule(
            f"{op}: metadata_tensor is {tensor.shape} {tensor.dtype}",
            limit=f"{wanted} uint32: rows of counts and starts, a column for each rank",
        )
    return rows, ranks
