"""Balance without a loss: a bias that only decides who is chosen, moved a step after each batch."""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib.moe.errors import MoEError, check_not_negative

ROUNDING = 2e-7  # relative, of two numbers of fp32


def updated_bias(bias: Tensor, load: Tensor, rate: float = 1e-3) -> Tensor:
    """bias + rate * sign(mean load - load): experts with too few tokens become easier to choose, by a step of one size.

    Args:
        bias: (experts,), added to scores for the choice alone.
        load: (experts,), tokens of each expert in the last batch, over all ranks; their mean does as well as their sum.
        rate: step; 1e-3 in the paper, where 1e-4 was too slow and 1e-2 oscillated.

    Returns:
        (experts,), a new tensor of the bias's type.

    Raises:
        MoEError: for tensors of different shapes, or a rate that is no finite number of at least 0.

    Source: Wang et al. 2024 (arXiv:2408.15664) algorithm 1.
    """
    check_not_negative("bias_update_rate", rate, "give 1e-3")
    if load.shape != bias.shape:
        raise MoEError.of("load", tuple(load.shape), f"must be {tuple(bias.shape)}", "count tokens of every expert")
    load = load.double()
    missing = load.mean() - load  # (experts,)
    # a mean over 3 ranks is rounded in fp32, where one process finds that an expert has exactly its part
    step = rate * torch.where(missing.abs() > ROUNDING * load.mean(), missing.sign(), 0.0)
    return bias + step.to(bias.dtype)
