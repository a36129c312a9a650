"""Plays a schedule: moves real tensors between real ranks, round by round, over isend and irecv alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from course_lib.arithmetic.network.message import Message, Schedule


@dataclass
class Tally:
    """What this rank has sent.

    Args:
        bytes_sent: bytes.
        messages_sent: messages; those without content are not sent.
        rounds: rounds that it went through, one after another.
    """

    bytes_sent: int = 0
    messages_sent: int = 0
    rounds: int = 0


def play(
    schedule: Schedule,
    chunks: dict[int, Tensor],
    sizes: Sequence[int],
    like: Tensor,
    group: dist.ProcessGroup | None,
    tally: Tally,
) -> None:
    """Run this rank's part of a schedule on its chunks.

    Args:
        schedule: for as many ranks as the group has.
        chunks: chunk number → (elements,) that this rank holds; changed in place, and enlarged by what is copied here.
        sizes: elements of each chunk by number, the same on every rank.
        like: of the type and device to receive into.
        group: of the ranks; None for the default one.
        tally: counts on.
    """
    for outgoing, incoming in schedule.rounds_of(dist.get_rank(group)):
        packed = [(message, _packed(message, chunks)) for message in outgoing]
        arrived = [(message, like.new_empty(sum(sizes[chunk] for chunk in message.chunks))) for message in incoming]
        operations = [dist.P2POp(dist.isend, buffer, group=group, group_peer=m.target) for m, buffer in packed]
        operations += [dist.P2POp(dist.irecv, buffer, group=group, group_peer=m.source) for m, buffer in arrived]
        # Both ends know which messages are empty, and leave them out.
        operations = [operation for operation in operations if operation.tensor.numel()]
        for request in dist.batch_isend_irecv(operations) if operations else ():
            request.wait()
        for message, buffer in arrived:
            _unpack(message, buffer, chunks, sizes)
        for _, buffer in packed:
            tally.bytes_sent += buffer.numel() * buffer.element_size()
            tally.messages_sent += bool(buffer.numel())
        tally.rounds += 1


def _packed(message: Message, chunks: dict[int, Tensor]) -> Tensor:
    parts = [chunks[chunk] for chunk in message.chunks]
    return parts[0] if len(parts) == 1 else torch.cat(parts)  # (elements of the message,)


def _unpack(message: Message, buffer: Tensor, chunks: dict[int, Tensor], sizes: Sequence[int]) -> None:
    parts = torch.split(buffer, [sizes[chunk] for chunk in message.chunks])
    for chunk, part in zip(message.chunks, parts, strict=True):
        if message.reduce:
            chunks[chunk] += part
        elif chunk in chunks:
            chunks[chunk].copy_(part)
        else:
            chunks[chunk] = part
