"""The nonlinearities of experts."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
}


def nonlinear(projected: Tensor, activation: str, gated: bool) -> Tensor:
    """What lies between an expert's two matmuls.

    Args:
        projected: (..., 2 inner), gate first, when gated; else (..., inner).
        activation: "silu", "gelu" or "relu".
        gated: act(gate) * value instead of act(projected).

    Returns:
        (..., inner).

    Source: Shazeer 2020 (arXiv:2002.05202) for the gate.
    """
    act = ACTIVATIONS[activation]
    if not gated:
        return act(projected)
    gate, value = projected.chunk(2, dim=-1)
    return act(gate) * value
