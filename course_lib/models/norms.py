"""Which norm a shape asks for."""

from __future__ import annotations

from torch import nn

from course_lib.catalog import ModelConfig


def make_norm(config: ModelConfig) -> nn.Module:
    """A norm over the hidden size: RMSNorm, or LayerNorm with or without bias."""
    if config.norm == "rmsnorm":
        return nn.RMSNorm(config.hidden_size, eps=config.norm_eps)
    return nn.LayerNorm(config.hidden_size, eps=config.norm_eps, bias=config.norm == "layernorm")


def make_head_norm(config: ModelConfig) -> nn.Module:
    """A norm over each head's queries or keys, where the shape has one (Qwen3)."""
    return nn.RMSNorm(config.head_dim, eps=config.norm_eps) if config.qk_norm == "head" else nn.Identity()
