"""Bytes of the key/value cache that decoding keeps per sequence."""

from course_lib.arithmetic.errors import as_config, check_count, check_positive
from course_lib.catalog import ModelConfig


def kv_cache_bytes(
    config: ModelConfig | str,
    tokens: int,
    *,
    batch: int = 1,
    bytes_per_element: float = 2,
) -> float:
    """Bytes of cached keys and values.

    Args:
        config: a shape, or the name of one.
        tokens: tokens per sequence that are in the cache.
        batch: sequences.
        bytes_per_element: 2 for bf16, 1 for fp8.

    Returns:
        Bytes: 2 * kv_heads * head_dim per token and layer; with latent attention kv_lora_rank + qk_rope_head_dim;
        a windowed layer keeps its window only. An encoder keeps none; the cross-attention
        keys of an encoder-decoder are not counted.

    Raises:
        ArithmeticInputError: for a number out of range.

    Source: Shazeer 2019 (arXiv:1911.02150) for shared key heads; DeepSeek-V2 (arXiv:2405.04434) section 2.1.4 for
        the latent cache.
    """
    c = as_config(config)
    check_count("tokens", tokens, minimum=0)
    check_count("batch", batch)
    check_positive("bytes_per_element", bytes_per_element, "give 2 for bf16, 1 for fp8")
    latent = c.kv_lora_rank + c.qk_rope_head_dim
    per_token = latent if c.latent_attention else 2 * c.kv_heads * c.head_dim
    windowed = min(c.windowed_layers, c.decoder_layers)
    kept = windowed * min(tokens, c.sliding_window) + (c.decoder_layers - windowed) * tokens
    return batch * kept * per_token * bytes_per_element
