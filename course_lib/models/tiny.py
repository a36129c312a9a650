"""Shapes small enough to train on a laptop while the reader waits."""

from __future__ import annotations

from course_lib.catalog import ModelConfig


def tiny_config(
    *,
    layers: int = 4,
    hidden_size: int = 64,
    heads: int = 4,
    kv_heads: int = 0,
    vocab_size: int = 64,
    context_length: int = 64,
    tied_embeddings: bool = False,
) -> ModelConfig:
    """A Llama-like decoder (RMSNorm, rotary positions, SwiGLU) of about 0.2 million parameters by default.

    Args:
        layers, hidden_size, heads, kv_heads, vocab_size, context_length, tied_embeddings: as in `ModelConfig`;
            kv_heads = 0 means as many as heads.

    Returns:
        The shape. The feed-forward block is 8/3 of the hidden size, rounded up to a multiple of 16.

    Raises:
        ValueError: when heads does not divide hidden_size, or kv_heads does not divide heads.

    Source: Touvron et al. 2023 (arXiv:2302.13971) section 2.2.
    """
    return ModelConfig(
        name="tiny",
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        ffn_hidden_size=-(-8 * hidden_size // 3 // 16) * 16,
        gated_ffn=True,
        norm="rmsnorm",
        tied_embeddings=tied_embeddings,
        context_length=context_length,
    )
