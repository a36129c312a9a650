"""Numbers that say how balanced a routing is."""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib.moe.errors import MoEError
from course_lib.moe.routing import Routing


def load_variation(load: Tensor) -> float:
    """Coefficient of variation of the experts' loads: population standard deviation over mean.

    Args:
        load: (experts,), tokens of each expert.

    Returns:
        0 when all are equal, sqrt(E - 1) when one expert has everything; 0 for no tokens.
    """
    counts = _counts(load)
    mean = float(counts.mean())
    return float(counts.std(correction=0)) / mean if mean else 0.0


def max_violation(load: Tensor) -> float:
    """MaxVio: by which fraction the fullest expert's load exceeds the mean.

    Args:
        load: (experts,), tokens of each expert.

    Returns:
        0 when all are equal, E - 1 when one expert has everything; 0 for no tokens.

    Source: Wang et al. 2024 (arXiv:2408.15664) eq. 4.
    """
    counts = _counts(load)
    mean = float(counts.mean())
    return float(counts.max()) / mean - 1 if mean else 0.0


def dropped_share(routing: Routing) -> float:
    """Fraction of the pairs of a token and an expert that found no room; 0 for no tokens.

    Of an expert-choice routing, where tokens ask for nobody, this number has no meaning.
    """
    pairs = routing.experts.numel()
    return float((routing.experts < 0).sum()) / pairs if pairs else 0.0


def _counts(load: Tensor) -> Tensor:
    counts = load.detach().to("cpu", torch.float64)
    if counts.dim() != 1 or not counts.numel():
        raise MoEError.of("load", tuple(load.shape), "must be (experts,)", "give routing.load()")
    return counts
