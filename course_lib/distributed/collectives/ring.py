"""The ring all-reduce, by itself and in full, as the chapter on collectives shows it.

Every rank talks to its two neighbors only. After p - 1 steps it holds one chunk that is summed over all ranks
(reduce-scatter); after p - 1 more it holds all of them (all-gather). Each step sends n / p elements, so a rank sends
2 (p - 1) / p n in all, however many ranks there are.

Source: Patarasuk & Yuan 2009, "Bandwidth optimal all-reduce algorithms for clusters of workstations".
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def ring_all_reduce(tensor: Tensor) -> Tensor:
    """Replace a tensor by its sum over the ranks of the default process group.

    Args:
        tensor: (n,), contiguous, of the same size on every rank.

    Returns:
        The same tensor.
    """
    rank, ranks = dist.get_rank(), dist.get_world_size()
    # views of the tensor, each (n / ranks,), the first ones longer by 1
    chunks = list(torch.tensor_split(tensor, ranks))

    for step in range(ranks - 1):  # reduce-scatter
        send, receive = (rank - step) % ranks, (rank - step - 1) % ranks
        arrived = torch.empty_like(chunks[receive])  # (n / ranks,)
        exchange(chunks[send], arrived)
        chunks[receive] += arrived

    # Now chunk number rank + 1 is complete here.
    for step in range(ranks - 1):  # all-gather
        send, receive = (rank - step + 1) % ranks, (rank - step) % ranks
        exchange(chunks[send], chunks[receive])
    return tensor


def exchange(outgoing: Tensor, incoming: Tensor) -> None:
    """Send to the next rank while receiving from the one before.

    Both are started before either is waited for: if all ranks sent first, all would wait for a receiver.

    Args:
        outgoing: (m,) to the next rank.
        incoming: (k,), filled by the rank before.
    """
    rank, ranks = dist.get_rank(), dist.get_world_size()
    sending = dist.isend(outgoing, (rank + 1) % ranks)
    receiving = dist.irecv(incoming, (rank - 1) % ranks)
    for request in (sending, receiving):
        if request is not None:
            request.wait()
