"""Attention for a sequence that begins with an image: patches see the whole image, words see what stands before."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.moe.errors import check_count


class PrefixAttention:
    """An attention core whose first `prefix` tokens see each other in both directions; the others are causal.

    Args:
        prefix: tokens of the image. 0 is causal attention.

    Source: Raffel et al. 2019 (arXiv:1910.10683) section 3.2.1, "prefix LM".
    """

    def __init__(self, prefix: int) -> None:
        check_count("prefix", prefix, minimum=0)
        self.prefix = prefix

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q (batch, heads, seq, d), k and v (batch, kv_heads, seq, d) -> (batch, heads, seq, d)."""
        grouped = q.shape[1] != k.shape[1]
        if not self.prefix:
            return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped)
        seen = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool, device=q.device).tril()  # (seq, seq), query by key
        seen[: self.prefix, : self.prefix] = True
        return F.scaled_dot_product_attention(q, k, v, attn_mask=seen, enable_gqa=grouped)
