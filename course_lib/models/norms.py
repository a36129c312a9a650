"""Which norm a shape asks for."""

from __future__ import annotations

from torch import nn

from course_lib.catalog import ModelConfig


def make_norm(config: ModelConfig) -> nn.Module:
    """A norm over the hidden size: RMSNorm, or LayerNorm with or without bias."""
    if config.norm == "rmsnorm":
        return nn.RMSNorm(config.hidden_size, eps=config.norm_eps)
    return nn.LayerNorm(config.hidden_size, eps=config.norm_eps, bias=config.norm == "layernorm")


def make_head_norm(config: ModelConfig, heads: int) -> nn.Module:
    """A norm over each head's queries or keys (Qwen3), or over those of all `heads` together (OLMoE), or none."""
    if config.qk_norm == "none":
        return nn.Identity()
    return nn.RMSNorm(config.head_dim * (heads if config.qk_norm == "width" else 1), eps=config.norm_eps)
