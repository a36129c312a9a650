"""Dispatch and combine: rows go to the ranks that hold their experts, are worked on there, and come back.

What a rank hands in is sorted by expert, and a rank holds experts that follow one another, so that the rows for one
rank lie together and need no packing. What arrives is sorted by sender first and has to be sorted by expert once more.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor

from course_lib.moe.errors import MoEError
from course_lib.moe.expert_parallel.exchange import Group, exchange_blocks, exchange_counts, exchange_rows

Work = Callable[[Tensor, Tensor], Tensor]  # rows (slots, hidden) sorted by expert, counts -> (slots, hidden)


def on_their_ranks(rows: Tensor, counts: Tensor, work: Work, group: Group = None) -> Tensor:
    """Have rows worked on where their experts are, whatever the numbers: counts are exchanged first, then rows.

    Args:
        rows: (slots, hidden), sorted by expert; slots may be 0.
        counts: (experts,) of int64, rows of each expert of all ranks; they sum to slots.
        work: of this rank's experts: (rows here, hidden) sorted by expert, (experts / ranks,) -> (rows here, hidden).
        group: the ranks that share the experts, in the order of their experts.

    Returns:
        (slots, hidden) in the order of `rows`.

    Source: Gale et al. 2022 (arXiv:2211.15841), for dropping nothing and padding nothing.
    """
    arriving = exchange_counts(counts, group)  # (ranks, experts here)
    sends = counts.view(len(arriving), -1).sum(1).tolist()
    receives = arriving.sum(1).tolist()
    here = exchange_rows(rows, sends, receives, group)  # (rows here, hidden), sorted by sender, then by expert
    order = by_expert(arriving)  # (rows here,)
    done = work(here[order], arriving.sum(0))
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order), device=order.device)
    return exchange_rows(done[back], receives, sends, group)


def by_expert(arriving: Tensor) -> Tensor:
    """Where each row of the experts' order lies among rows that are sorted by sender first.

    Args:
        arriving: (ranks, experts here) of int64, rows from each rank for each expert.

    Returns:
        (rows here,) of int64.
    """
    ranks, experts = arriving.shape
    expert = torch.arange(experts, device=arriving.device).repeat(ranks)  # (ranks * experts here,)
    return expert.repeat_interleave(arriving.flatten()).argsort(stable=True)


def in_equal_blocks(rows: Tensor, counts: Tensor, work: Work, capacity: int, group: Group = None) -> Tensor:
    """Have rows worked on where their experts are, in blocks of `capacity` rows for each expert, padded with zeros.

    No counts travel and all shapes are known beforehand, which compilers and accelerators that don't like changing
    shapes ask for; the price is that padding is sent and worked on as if it were tokens.

    Args:
        rows, counts, work, group: as in `on_their_ranks`.
        capacity: most rows that an expert takes from one rank; the same number on every rank.

    Returns:
        (slots, hidden) in the order of `rows`.

    Raises:
        MoEError: when an expert has more rows than that: who is left out is the router's decision.

    Source: Lepikhin et al. 2020 (arXiv:2006.16668) section 2.2; Fedus et al. 2021 (arXiv:2101.03961) section 2.2.
    """
    if (fullest := int(counts.max())) > capacity:
        raise MoEError.of(
            "rows of one expert", fullest, f"are more than the capacity of {capacity}", "drop before, or raise it"
        )
    ranks, experts, hidden = dist.get_world_size(group), len(counts), rows.shape[1]
    starts = counts.cumsum(0) - counts  # (experts,)
    expert = torch.arange(experts, device=rows.device).repeat_interleave(counts)  # (slots,)
    place = expert * capacity + torch.arange(len(rows), device=rows.device) - starts[expert]  # (slots,)
    padded = rows.new_zeros(experts * capacity, hidden).index_copy(0, place, rows)
    here = exchange_blocks(padded.view(ranks, -1, hidden), group)  # (ranks, experts here * capacity, hidden)
    own = experts // ranks
    sorted_ = here.view(ranks, own, capacity, hidden).transpose(0, 1).reshape(-1, hidden)
    done = work(sorted_, torch.full_like(counts[:own], ranks * capacity))
    back = done.view(own, ranks, capacity, hidden).transpose(0, 1).reshape(ranks, -1, hidden)
    return exchange_blocks(back, group).reshape(-1, hidden)[place]
