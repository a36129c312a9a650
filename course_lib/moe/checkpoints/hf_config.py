"""A model's shape as Hugging Face's `config.json`, and back.

What the model here would compute differently is refused by name, never dropped: a sliding window, clipped queries,
scaled rotary angles, quantized weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from course_lib.catalog import ModelConfig, is_number
from course_lib.moe.checkpoints.architectures import ARCHITECTURES, Architecture, architecture
from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError

SHAPE = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "experts_per_token": "num_experts_per_tok",
    "context_length": "max_position_embeddings",
    "ffn_hidden_size": "intermediate_size",
}
ALIASES = {"num_experts": "num_local_experts", "num_local_experts": "num_experts"}  # transformers reads either


def config_from_hf(config: Mapping[str, Any], **options: Any) -> tuple[ModelConfig, MoEConfig]:
    """The shape that a `config.json` describes.

    Args:
        config: the file's content.
        **options: of `MoEConfig`, in place of what the file says.

    Returns:
        The shape, and the layers' config. `balance_loss` is the file's `router_aux_loss_coef` times k over the number
        of layers: transformers' loss is k times ours when balanced, and one for all layers together.

    Raises:
        MoEError: for a family that is not known, keys that are missing (all listed), or a feature that the model here
            does not have, or numbers that don't fit together.

    Source: Hugging Face `MixtralConfig`, `OlmoeConfig`, `Qwen3MoeConfig`; `load_balancing_loss_func`.
    """
    family = _family(config)
    renamed = {**{new: config[old] for new, old in ALIASES.items() if old in config}, **config}
    keys = {*SHAPE.values(), family.experts_key, family.width_key}
    missing = sorted(key for key in keys if not isinstance(renamed.get(key), int) or isinstance(renamed[key], bool))
    if missing:
        told = {key: renamed.get(key) for key in missing}
        raise MoEError.of("config.json", told, "must be whole numbers", "take the config.json of the weights")
    _refuse_other_kinds(renamed)
    _refuse_other_features(renamed)
    biases = bool(renamed.get("attention_bias", False))
    numbers: dict[str, Any] = dict(
        name=str(config.get("_name_or_path") or family.name),
        **{ours: renamed[theirs] for ours, theirs in SHAPE.items()},
        kv_heads=renamed.get("num_key_value_heads") or 0,
        head_dim=renamed.get("head_dim") or 0,
        experts=renamed[family.experts_key],
        expert_hidden_size=renamed[family.width_key],
        gated_ffn=True,
        norm="rmsnorm",
        norm_eps=renamed.get("rms_norm_eps", family.norm_eps),
        rope_theta=_rope_theta(renamed, family),
        qk_norm=family.qk_norm,
        qkv_bias=biases,
        output_bias=biases,
        tied_embeddings=bool(renamed.get("tie_word_embeddings", False)),
        dropout=bool(renamed.get("attention_dropout", 0.0)),
        **_dense_layers(renamed),
    )
    try:
        shape = ModelConfig(**numbers)
    except ValidationError as error:
        faults = [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors(include_url=False)]
        reasons = "; ".join(f"{name}: {text}" if name else text for name, text in faults)
        raise MoEError.of("config.json", family.name, f"({reasons})", "take the config.json of the weights") from error
    coefficient = renamed.get("router_aux_loss_coef", family.balance_loss)
    from_file: dict[str, Any] = {
        "normalize": bool(renamed.get("norm_topk_prob")) if family.normalize is None else family.normalize,
        "balance_loss": _rounded(coefficient * shape.experts_per_token / shape.moe_layers),
    }
    return shape, MoEConfig.of(shape, **(from_file | options))


def config_to_hf(shape: ModelConfig, moe: MoEConfig | None = None, layout: str = "mixtral") -> dict[str, Any]:
    """The `config.json` of a shape, with all keys that transformers' class would otherwise fill with its own defaults.

    Args:
        shape: of the model.
        moe: its layers; by `MoEConfig.of(shape)`, with the family's weights, when left out.
        layout: "mixtral", "olmoe" or "qwen3_moe".

    Raises:
        MoEError: when the family can't express the shape; all reasons are listed.
    """
    family = architecture(layout)
    if moe is None:
        moe = MoEConfig.of(shape, normalize=family.normalize if family.normalize is not None else layout != "olmoe")
    reasons = _not_expressible(shape, moe, family)
    if reasons:
        others = "another layout, or a shape without them"
        raise MoEError.of("layout", layout, f"can't express {', '.join(reasons)}", f"use {others}")
    config: dict[str, Any] = {
        "architectures": [family.model_class],
        "model_type": family.name,
        **{theirs: getattr(shape, ours) for ours, theirs in SHAPE.items()},
        "num_key_value_heads": shape.kv_heads,
        family.experts_key: shape.experts,
        family.width_key: shape.expert_hidden_size,
        "hidden_act": "silu",
        "rms_norm_eps": shape.norm_eps,
        "rope_parameters": {"rope_theta": shape.rope_theta, "rope_type": "default"},
        "tie_word_embeddings": shape.tied_embeddings,
        "attention_dropout": 0.0,
        "router_aux_loss_coef": _rounded(moe.balance_loss * shape.moe_layers / shape.experts_per_token),
        "output_router_logits": False,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }
    if family.name != "olmoe":  # always hidden_size / heads there
        config["head_dim"] = shape.head_dim
    if family.attention_bias:
        config["attention_bias"] = shape.qkv_bias
    if family.normalize is None:
        config["norm_topk_prob"] = _sums_to_one(moe)
    if family.name == "qwen3_moe":
        config["decoder_sparse_step"] = shape.moe_every
        config["mlp_only_layers"] = list(range(shape.first_dense_layers))
        config["use_sliding_window"] = False
    return config


def _family(config: Mapping[str, Any]) -> Architecture:
    name = config.get("model_type")
    if not isinstance(name, str) or name not in ARCHITECTURES:
        limit = f"(architectures={config.get('architectures')!r}) is no family that can be read here"
        raise MoEError.of("model_type", name, limit, f"take a checkpoint of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def _rope_theta(config: Mapping[str, Any], family: Architecture) -> float:
    parameters = config.get("rope_parameters") or {}
    theta = parameters.get("rope_theta", config.get("rope_theta"))  # the second is transformers 4's place
    return float(family.rope_theta if theta is None else theta)


def _refuse_other_kinds(config: Mapping[str, Any]) -> None:
    """Raise `MoEError` for what may be left out, but not be something else."""
    alone, window = config.get("mlp_only_layers") or [], config.get("sliding_window")
    found = {
        "mlp_only_layers": not isinstance(alone, list) or not all(type(number) is int for number in alone),
        "router_aux_loss_coef": not is_number(config.get("router_aux_loss_coef", 0.0)),
        "sliding_window": window is not None and not is_number(window),
    }
    told = {name: config[name] for name, is_other in found.items() if is_other}
    if told:
        limit = "must be numbers, mlp_only_layers a list of whole ones"
        raise MoEError.of("config.json", told, limit, "take the config.json of the weights")


def _refuse_other_features(config: Mapping[str, Any]) -> None:
    rope = config.get("rope_parameters") or {}
    plain = isinstance(rope, Mapping) and not any(isinstance(value, Mapping) for value in rope.values())
    window = config.get("sliding_window") if config.get("use_sliding_window", True) else None
    refused = {
        "hidden_act": config.get("hidden_act", "silu") != "silu",
        "sliding_window": window is not None and window < config["max_position_embeddings"],
        "clip_qkv": config.get("clip_qkv") is not None,
        "rope_scaling": config.get("rope_scaling") is not None,
        "rope_parameters": not plain or rope.get("rope_type", "default") != "default",
        "router_jitter_noise": bool(config.get("router_jitter_noise")),
        "quantization_config": config.get("quantization_config") is not None,
    }
    found = {name: config[name] for name, is_refused in refused.items() if is_refused}
    if found:
        remedy = "take weights without; a window as long as the context changes nothing and may be set to null"
        raise MoEError.of("config.json", found, "asks for what the model here does not compute", remedy)


def _dense_layers(config: Mapping[str, Any]) -> dict[str, Any]:
    """Qwen3's two ways to leave layers without experts, where they are one of ours."""
    alone = sorted(config.get("mlp_only_layers") or [])
    every = config.get("decoder_sparse_step", 1)
    if alone != list(range(len(alone))) or (alone and every != 1):
        told = {"mlp_only_layers": alone, "decoder_sparse_step": every}
        raise MoEError.of("config.json", told, "leaves other than the lowest layers dense", "take other weights")
    return {"first_dense_layers": len(alone), "moe_every": every}


def _not_expressible(shape: ModelConfig, moe: MoEConfig, family: Architecture) -> list[str]:
    dense = family.name == "qwen3_moe"
    wrong = {
        "router": moe.router != "topk",
        "normalize": family.normalize is not None and _sums_to_one(moe) != family.normalize,
        "activation": moe.activation != "silu",
        "scale": moe.scale != 1.0,
        "capacity_factor": moe.capacity_factor is not None,
        "groups": moe.groups != 1,
    }
    wrong_shape = {
        "gated_ffn": not shape.gated_ffn,
        "norm": shape.norm != "rmsnorm",
        "final_norm": not shape.final_norm,
        "qk_norm": shape.qk_norm != family.qk_norm,
        "qkv_bias": shape.qkv_bias and not family.attention_bias,
        "output_bias": shape.output_bias != shape.qkv_bias,
        "ffn_bias": shape.ffn_bias,
        "router_bias": shape.router_bias,
        "shared_experts": shape.shared_experts,
        "learned_positions": shape.learned_positions,
        "sliding_window": shape.sliding_window,
        "attention_sinks": shape.attention_sinks,
        "kv_lora_rank": shape.kv_lora_rank,
        "architecture": shape.architecture != "decoder",
        "head_dim": family.name == "olmoe" and shape.head_dim * shape.heads != shape.hidden_size,
        "first_dense_layers": shape.first_dense_layers and (not dense or shape.moe_every != 1),
        "moe_every": shape.moe_every != 1 and not dense,
    }
    found = [f"{name}={getattr(moe, name)!r}" for name, bad in wrong.items() if bad]
    return found + [f"{name}={getattr(shape, name)!r}" for name, bad in wrong_shape.items() if bad]


def _sums_to_one(moe: MoEConfig) -> bool:
    """A softmax over the chosen logits is one over all logits, scaled to sum to 1."""
    return moe.normalize or moe.softmax == "after"


def _rounded(value: float) -> float:
    """Without the last bits, which the way there and back would change."""
    return float(f"{value:.12g}")
