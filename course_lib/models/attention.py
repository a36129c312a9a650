"""Causal attention with grouped key heads, and a core that context parallelism can exchange."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.catalog import ModelConfig
from course_lib.models.norms import make_head_norm
from course_lib.models.rotary import rotate

AttentionCore = Callable[[Tensor, Tensor, Tensor], Tensor]


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d), causal) v.

    Args:
        q: (batch, heads, seq, head_dim).
        k, v: (batch, kv_heads, seq, head_dim); a key head serves heads / kv_heads query heads.

    Returns:
        (batch, heads, seq, head_dim).

    Source: Vaswani et al. 2017 (arXiv:1706.03762) eq. 1; Ainslie et al. 2023 (arXiv:2305.13245) for the groups.
    """
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=q.shape[1] != k.shape[1])


class Attention(nn.Module):
    """Projections to queries, keys and values, the core, and the projection back.

    The number of heads is read from the projections' outputs, so that a tensor-parallel rank, whose projections give
    only its own heads, needs no other code.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        h, d = config.hidden_size, config.head_dim
        self.head_dim = d
        self.rotary = not config.learned_positions
        self.rope_theta = config.rope_theta
        self.wq = nn.Linear(h, config.heads * d, bias=config.qkv_bias)
        self.wk = nn.Linear(h, config.kv_heads * d, bias=config.qkv_bias)
        self.wv = nn.Linear(h, config.kv_heads * d, bias=config.qkv_bias)
        self.wo = nn.Linear(config.heads * d, h, bias=config.output_bias)
        self.q_norm, self.k_norm = (make_head_norm(config, heads) for heads in (config.heads, config.kv_heads))
        self.norm_spans_heads = config.qk_norm == "width"
        self.core: AttentionCore = causal_attention

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """(batch, seq, hidden), (seq,) -> (batch, seq, hidden)."""
        q, k, v = (w(x) for w in (self.wq, self.wk, self.wv))  # (batch, seq, heads * d)
        if self.norm_spans_heads:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k, v = (part.unflatten(-1, (-1, self.head_dim)) for part in (q, k, v))  # (batch, seq, heads, d)
        if not self.norm_spans_heads:
            q, k = self.q_norm(q), self.k_norm(k)
        if self.rotary:
            q, k = (rotate(part, positions, self.rope_theta) for part in (q, k))
        out = self.core(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))  # (batch, heads, seq, d)
        projected: Tensor = self.wo(out.transpose(1, 2).flatten(2))
        return projected
