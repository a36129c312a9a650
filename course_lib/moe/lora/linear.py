"""A linear layer beside which an adapter runs."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.moe.lora.adapters import Adapters


class LoRALinear(nn.Module):
    """W x + bias + scale * B (A x); the base's parameters keep their names.

    Args:
        base: the layer as it was; its parameters are shared.
    """

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = base.weight, base.bias
        self.in_features, self.out_features = base.in_features, base.out_features
        self.lora = Adapters(base.weight.shape)
        self._base = [base]  # in a list, so that it is no part of this module's state

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        out = F.linear(x, self.weight, self.bias)
        factors = self.lora.factors()
        if factors is None:
            return out
        factors = factors.to(x.dtype)
        return out + factors.scale * F.linear(F.linear(x, factors.a), factors.b)  # (..., rank) in between

    def plain(self) -> nn.Linear:
        """The layer without adapters, with this one's parameters."""
        base = self._base[0]
        base.weight, base.bias = self.weight, self.bias
        return base
