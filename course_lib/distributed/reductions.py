"""Sums and means of a tensor over the default process group, for what is reported and never differentiated."""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor


def sum_over_ranks(value: Tensor) -> Tensor:
    """The sum of a tensor over the default process group, on every rank."""
    total = value.clone()
    dist.all_reduce(total)
    return total


def mean_over_ranks(value: Tensor) -> Tensor:
    """The mean of a tensor over the default process group, on every rank."""
    return sum_over_ranks(value) / dist.get_world_size()
