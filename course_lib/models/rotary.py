"""Rotary position embedding, in the half-split layout of Hugging Face's Llama."""

from __future__ import annotations

import torch
from torch import Tensor

BASE = 10_000.0


def rotate(x: Tensor, positions: Tensor, base: float = BASE) -> Tensor:
    """Turn each pair of features by an angle that grows with the position.

    Args:
        x: (batch, seq, heads, head_dim), head_dim even; feature i is paired with i + head_dim / 2.
        positions: (seq,) of the tokens in their sequence, or (batch, seq) when sequences stand at different places.
        base: theta; the slowest pair turns by about 1 / base per token.

    Returns:
        The same shape and type.

    Source: Su et al. 2021 (arXiv:2104.09864) eq. 15.
    """
    half = x.shape[-1] // 2
    rates = base ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)  # (head_dim / 2,)
    angles = (positions.float()[..., None] * rates)[..., None, :]  # (..., seq, 1, head_dim / 2)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
