"""The feed-forward block: two matrices around GELU, or three with a SiLU gate."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.catalog import ModelConfig


class FeedForward(nn.Module):
    """w2(silu(w1 x) * w3 x) when gated, else w2(gelu(w1 x)).

    Source: Shazeer 2020 (arXiv:2002.05202) for the gate; Radford et al. 2019 for the tanh form of GELU.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        h, f = config.hidden_size, config.ffn_hidden_size
        self.w1 = nn.Linear(h, f, bias=config.ffn_bias)
        self.w2 = nn.Linear(f, h, bias=config.ffn_bias)
        self.w3 = nn.Linear(h, f, bias=config.ffn_bias) if config.gated_ffn else None

    def forward(self, x: Tensor) -> Tensor:
        """(batch, seq, hidden) -> (batch, seq, hidden)."""
        inner = F.gelu(self.w1(x), approximate="tanh") if self.w3 is None else F.silu(self.w1(x)) * self.w3(x)
        out: Tensor = self.w2(inner)
        return out
