"""Which of the catalog's shapes the small GPT can build."""

from __future__ import annotations

from course_lib.catalog import ModelConfig


def check_supported(config: ModelConfig, *, experts: bool = False) -> None:
    """Raise `ValueError`, naming the fields, unless `config` is a decoder that is built in full, dense if not told."""
    refused = {
        "experts": 0 if experts else config.experts,
        "kv_lora_rank": config.kv_lora_rank,
        "attention_sinks": config.attention_sinks,
        "embedding_norm": config.embedding_norm,
        "relative_position_buckets": config.relative_position_buckets,
        "sliding_window": config.sliding_window,
        "architecture": config.architecture != "decoder" and config.architecture,
        # no engine that cuts a model up takes experts, and a norm over all heads can't be cut
        "qk_norm": config.qk_norm == "width" and not experts and config.qk_norm,
        "norms_per_layer": config.norms_per_layer != 2 and config.norms_per_layer,
    }
    found = {name: value for name, value in refused.items() if value}
    if found:
        told = ", ".join(f"{name}={value!r}" for name, value in found.items())
        raise ValueError(
            f"GPT can't build {config.name}: it has {told}. Remedy: take a dense decoder, such as tiny_config() or "
            "model('llama3-8b')."
        )
    if config.head_dim % 2 and not config.learned_positions:
        raise ValueError(
            f"head_dim={config.head_dim} must be even for rotary positions. Remedy: change hidden_size, heads or "
            "head_dim, or give learned_positions."
        )
