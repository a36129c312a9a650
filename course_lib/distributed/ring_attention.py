"""Ring attention: exact causal attention over a sequence that several ranks hold in parts.

Queries stay where they are; keys and values travel around a ring, and each rank merges what its queries see of every
block. The backward pass sends keys and values around once more; each block's gradient follows it, from the first rank
that it visits to the rank where it is at home.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from course_lib.distributed.attention_blocks import block_backward, block_forward, merge, visible
from course_lib.distributed.sequence_shards import check_placement

Group = dist.ProcessGroup | None


def ring_attention(q: Tensor, k: Tensor, v: Tensor, group: Group = None, placement: str = "zigzag") -> Tensor:
    """softmax(q k^T / sqrt(d), causal) v over the whole sequence, of which each rank of a group holds a part.

    Args:
        q: (batch, heads, seq / ranks, head_dim), this rank's tokens as `shard_positions` orders them, rotary
            embedding done.
        k, v: (batch, kv_heads, seq / ranks, head_dim); kv_heads divides heads.
        group: the context-parallel ranks in the order of their shards; the default group when left out.
        placement: "zigzag" or "contiguous", the same on every rank.

    Returns:
        (batch, heads, seq / ranks, head_dim), of q's type; computed in fp32 for half-precision inputs.

    Raises:
        TrainingSetupError: when the tokens don't divide into the placement's pieces.

    Source: Liu et al. 2023 (arXiv:2310.01889) section 3, for the ring; Milakov & Gimelshein 2018 (arXiv:1805.02867)
        for the running softmax.
    """
    ranks = dist.get_world_size(group)
    check_placement(placement, q.shape[2] * ranks, ranks)
    out: Tensor = _RingAttention.apply(q, k, v, group, placement)  # type: ignore[no-untyped-call]
    return out


def ring_bytes(
    *, ranks: int, batch: int, kv_heads: int, tokens: int, head_dim: int, bytes_per_element: int = 4
) -> tuple[int, int]:
    """Bytes that each rank sends in one attention layer for one microbatch.

    Args:
        ranks: context-parallel degree c.
        batch, kv_heads, tokens, head_dim: shape of a rank's keys (tokens = seq / ranks).
        bytes_per_element: 4 for fp32; 2 for bf16, whose gradients travel in fp32 all the same.

    Returns:
        Forward: c - 1 blocks of keys and values. Backward: the same again and c - 1 blocks of their gradients.
    """
    elements = (ranks - 1) * 2 * batch * kv_heads * tokens * head_dim
    return elements * bytes_per_element, elements * (bytes_per_element + max(bytes_per_element, 4))


@dataclass
class Arriving:
    """A tensor on its way to this rank from the one before, while ours goes to the one after."""

    leaving: Tensor  # kept until it has left
    tensor: Tensor
    works: list[dist.Work]

    def wait(self) -> Tensor:
        """What has arrived."""
        for work in self.works:
            work.wait()
        return self.tensor


def pass_on(x: Tensor, group: Group) -> Arriving:
    """Start to send x (any shape) to the next rank of the ring and to receive the like from the one before."""
    ranks, rank = dist.get_world_size(group), dist.get_rank(group)
    leaving = x.contiguous()
    arriving = torch.empty_like(leaving)
    sent = dist.P2POp(dist.isend, leaving, group=group, group_peer=(rank + 1) % ranks)
    received = dist.P2POp(dist.irecv, arriving, group=group, group_peer=(rank - 1) % ranks)
    return Arriving(leaving, arriving, dist.batch_isend_irecv([sent, received]))


class _RingAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, group: Group, placement: str) -> Tensor:
        ranks, rank = dist.get_world_size(group), dist.get_rank(group)
        block = torch.stack((k, v))  # (2, batch, kv_heads, tokens, head_dim)
        with torch.autocast(q.device.type, enabled=False):
            for step in range(ranks):
                arriving = pass_on(block, group) if step < ranks - 1 else None  # travels while this rank computes
                seen = visible(placement, rank, (rank - step) % ranks, k.shape[2])
                if seen is not None:
                    keys, values = block[:, :, :, seen.columns]
                    part, part_lse = block_forward(q[:, :, seen.rows], keys, values, causal=seen.causal)
                    if step == 0:  # a rank's own block, which all of its queries see
                        out, lse = part, part_lse  # (batch, heads, tokens, head_dim), (batch, heads, tokens)
                    else:
                        r = seen.rows
                        out[:, :, r], lse[:, :, r] = merge(out[:, :, r], lse[:, :, r], part, part_lse)
                if arriving is not None:
                    block = arriving.wait()
        ctx.save_for_backward(q, k, v, out, lse)
        ctx.group, ctx.placement = group, placement
        return out.to(q.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        q, k, v, out, lse = ctx.saved_tensors
        ranks, rank = dist.get_world_size(ctx.group), dist.get_rank(ctx.group)
        grad = grad.to(out.dtype)
        offset = (grad * out).sum(dim=-1)  # (batch, heads, tokens)
        grad_q = torch.zeros_like(out)
        block = torch.stack((k, v))  # (2, batch, kv_heads, tokens, head_dim)
        following: Arriving | None = None  # the gradient of the block that is here, as far as it has been computed
        for step in range(ranks):
            arriving = pass_on(block, ctx.group) if step < ranks - 1 else None
            found = torch.zeros(block.shape, dtype=out.dtype, device=block.device)
            seen = visible(ctx.placement, rank, (rank - step) % ranks, k.shape[2])
            if seen is not None:
                r, (keys, values) = seen.rows, block[:, :, :, seen.columns]
                part_q, *part_kv = block_backward(
                    q[:, :, r], keys, values, grad[:, :, r], lse[:, :, r], offset[:, :, r], causal=seen.causal
                )
                grad_q[:, :, r] += part_q
                found[:, :, :, seen.columns] = torch.stack(part_kv)
            if step == 0:
                own = found  # waits here for what the other ranks find
            else:
                following = pass_on(found if following is None else following.wait() + found, ctx.group)
            if arriving is not None:
                block = arriving.wait()
        if following is not None:
            own = own + following.wait()
        grad_k, grad_v = own
        return grad_q.to(q.dtype), grad_k.to(k.dtype), grad_v.to(v.dtype), None, None
