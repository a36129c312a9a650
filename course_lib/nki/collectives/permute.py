"""Collectives that send whole tensors from rank to rank: by a list of pairs, or round a ring.

Source: Neuron documentation 2.32, `nki.collectives.collective_permute` and its variants.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from course_lib.nki.collectives.call import (
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
from course_lib.nki.registers import VirtualRegister
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import store

Channels = list[list[NkiTensor]]
_MOST_CHANNELS = 4


def collective_permute(
    srcs: list[NkiTensor],
    dsts: list[NkiTensor],
    source_target_pairs: Sequence[tuple[int, int]],
    priority: int | None = None,
    name: str | None = None,
) -> None:
    """Each (source, target) pair sends the source's tensor to the target; a rank that is no target keeps its dst.

    Args:
        srcs, dsts: one tensor each, in HBM, of the same shape and format.
        source_target_pairs: who sends to whom; each rank at most once on either side.
        priority: 0 to 3 (NeuronCore-v4).
        name: a name for the instruction.

    Raises:
        NkiValidationError: for tensors or pairs that don't fit, or ranks that disagree.
    """
    op = "collective_permute"
    core, world, rank = here()
    sources = check_tensors(op, "srcs", srcs, sbuf=False, most=1)
    targets = check_tensors(op, "dsts", dsts, sbuf=False, most=1)
    check_pairs(op, sources, targets)
    check_shape(op, targets[0], sources[0].shape, "the shape of src")
    pairs = [(int(source), int(target)) for source, target in source_target_pairs]
    group = sorted({member for pair in pairs for member in pair})
    senders, receivers = [source for source, _ in pairs], [target for _, target in pairs]
    if len(set(senders)) != len(pairs) or len(set(receivers)) != len(pairs) or not pairs:
        raise broken_rule(f"{op}: source_target_pairs={pairs}", limit="each rank sends once and receives once at most")
    if group[0] < 0 or group[-1] >= world.ranks:
        raise broken_rule(f"{op}: source_target_pairs={pairs}", limit=f"ranks from 0 to {world.ranks - 1}")
    if rank not in group:
        return
    written = targets if rank in receivers else ()
    read = sources if rank in senders else ()
    form = f"{sources[0].shape} {sources[0].dtype}"
    parts, _ = exchange(op, read, written, group, form, priority, key=f" {pairs}", alike=False)
    if core.options.execute and rank in receivers:
        store(targets[0], parts[senders[receivers.index(rank)]][0])


def collective_permute_implicit(
    srcs_by_channel: Channels,
    dsts_by_channel: Channels,
    replica_group: ReplicaGroup,
    channel_ids: Sequence[int] = (0,),
    priority: int | None = None,
    name: str | None = None,
) -> None:
    """Each rank sends to the next of its group and receives from the one before, round a ring.

    Args:
        srcs_by_channel, dsts_by_channel: for each channel a list of one tensor.
        replica_group: the rings.
        channel_ids: 0, 1, ... one for each channel.
        priority: 0 to 3 (NeuronCore-v4).
        name: a name for the instruction.

    Raises:
        NkiValidationError: for tensors or channels that don't fit, or ranks that disagree.
    """
    op = "collective_permute_implicit"
    _, world, rank = here()
    group = group_of(op, replica_group, rank, world.ranks)
    srcs = _channels(op, "srcs_by_channel", srcs_by_channel, channel_ids)
    dsts = _channels(op, "dsts_by_channel", dsts_by_channel, channel_ids)
    check_pairs(op, srcs, dsts)
    for src, dst in zip(srcs, dsts, strict=True):
        check_shape(op, dst, src.shape, "the shape of src")
    parts, _ = exchange(op, srcs, dsts, group, f"{len(srcs)} channels", priority)
    if here()[0].options.execute:
        for dst, sent in zip(dsts, parts[_before(group, rank, 1)], strict=True):
            store(dst, sent)


def collective_permute_implicit_reduce(
    srcs0_by_channel: Channels,
    srcs1_by_channel: Channels,
    dsts_by_channel: Channels,
    replica_group: ReplicaGroup,
    op: Any,
    channel_ids: Sequence[int] = (0,),
    priority: int | None = None,
    name: str | None = None,
) -> None:
    """Each rank sends `op(src0, src1)` to the next of its group and receives that of the one before.

    Args:
        srcs0_by_channel, srcs1_by_channel: operands, for each channel a list of one tensor.
        dsts_by_channel: results.
        replica_group: the rings.
        op: nl.add, nl.minimum or nl.maximum.
        channel_ids: 0, 1, ... one for each channel.
        priority: 0 to 3 (NeuronCore-v4).
        name: a name for the instruction.

    Raises:
        NkiValidationError: for tensors or channels that don't fit, or ranks that disagree.
    """
    what = "collective_permute_implicit_reduce"
    core, world, rank = here()
    group = group_of(what, replica_group, rank, world.ranks)
    reduction = check_reduction(what, op)
    left = _channels(what, "srcs0_by_channel", srcs0_by_channel, channel_ids)
    right = _channels(what, "srcs1_by_channel", srcs1_by_channel, channel_ids)
    dsts = _channels(what, "dsts_by_channel", dsts_by_channel, channel_ids)
    for srcs in (left, right):
        check_pairs(what, srcs, dsts)
        for src, dst in zip(srcs, dsts, strict=True):
            check_shape(what, dst, src.shape, "the shape of its sources")
    agreed = f"op=nl.{reduction.name}"
    parts, _ = exchange(what, (*left, *right), dsts, group, agreed, priority)
    if core.options.execute:
        sent = parts[_before(group, rank, 1)]
        for place, dst in enumerate(dsts):
            store(dst, np.asarray(reduced(reduction, [sent[place], sent[len(dsts) + place]])))


def collective_permute_implicit_current_processing_rank_id(
    iteration_id: int, replica_group: ReplicaGroup, channel_id: int = 0, name: str | None = None
) -> VirtualRegister:
    """Whose data a rank holds after `iteration_id` steps round the ring: its own at 0, then those of the ranks before.

    Args:
        iteration_id: step of the ring algorithm.
        replica_group: the rings.
        channel_id: the channel; all channels go round the same way here.
        name: a name for the instruction.

    Returns:
        A register with the rank; it behaves like the integer in it.
    """
    op = "collective_permute_implicit_current_processing_rank_id"
    _, world, rank = here()
    group = group_of(op, replica_group, rank, world.ranks)
    if channel_id not in range(_MOST_CHANNELS):
        raise broken_rule(f"{op}: channel_id={channel_id}", limit=f"0 to {_MOST_CHANNELS - 1}")
    return VirtualRegister(_before(group, rank, int(iteration_id)))


def _before(group: list[int], rank: int, steps: int) -> int:
    return group[(group.index(rank) - steps) % len(group)]


def _channels(op: str, role: str, channels: Any, ids: Sequence[int]) -> tuple[NkiTensor, ...]:
    if list(ids) != list(range(len(ids))) or not 1 <= len(ids) <= _MOST_CHANNELS:
        raise broken_rule(
            f"{op}: channel_ids={list(ids)}", limit=f"0, 1, ... without a gap, at most {_MOST_CHANNELS} channels"
        )
    if not isinstance(channels, list | tuple) or len(channels) != len(ids):
        raise broken_rule(f"{op}: {role}", limit=f"a list of lists, one for each of {len(ids)} channels")
    return tuple(check_tensors(op, role, inner, sbuf=True, most=1)[0] for inner in channels)
