"""The families of pretrained mixtures that can be read and written, and how each names its tensors.

Source: the modules and `config.json` files of transformers 5 (`models/mixtral`, `models/olmoe`, `models/qwen3_moe`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from course_lib.moe.errors import MoEError


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One family.

    Args:
        name: `model_type` in its `config.json`; the name of a layout here.
        model_class: transformers' class of it.
        block: parent of the router and the experts in files with one tensor per expert.
        gate, up, down: an expert's three matrices in such files.
        qk_norm: as in `ModelConfig`.
        normalize: whether a token's weights are scaled to sum to 1; None where `norm_topk_prob` says so.
        attention_bias: whether `config.json` can give the attention projections biases.
        rope_theta, norm_eps, balance_loss: what a `config.json` that does not mention them means.
        experts_key, width_key: how `config.json` names the number and the inner width of experts.
    """

    name: str
    model_class: str
    block: str
    gate: str
    up: str
    down: str
    qk_norm: Literal["none", "head", "width"]
    normalize: bool | None
    attention_bias: bool
    rope_theta: float
    norm_eps: float
    balance_loss: float
    experts_key: str
    width_key: str


ARCHITECTURES = {
    "mixtral": Architecture(
        name="mixtral",
        model_class="MixtralForCausalLM",
        block="block_sparse_moe",
        gate="w1",
        up="w3",
        down="w2",
        qk_norm="none",
        normalize=True,
        attention_bias=False,
        rope_theta=1e6,
        norm_eps=1e-5,
        balance_loss=0.001,
        experts_key="num_local_experts",
        width_key="intermediate_size",
    ),
    "olmoe": Architecture(
        name="olmoe",
        model_class="OlmoeForCausalLM",
        block="mlp",
        gate="gate_proj",
        up="up_proj",
        down="down_proj",
        qk_norm="width",
        normalize=None,
        attention_bias=True,
        rope_theta=1e4,
        norm_eps=1e-5,
        balance_loss=0.01,
        experts_key="num_experts",
        width_key="intermediate_size",
    ),
    "qwen3_moe": Architecture(
        name="qwen3_moe",
        model_class="Qwen3MoeForCausalLM",
        block="mlp",
        gate="gate_proj",
        up="up_proj",
        down="down_proj",
        qk_norm="head",
        normalize=None,
        attention_bias=True,
        rope_theta=1e4,
        norm_eps=1e-6,
        balance_loss=0.001,
        experts_key="num_experts",
        width_key="moe_intermediate_size",
    ),
}


def architecture(name: object) -> Architecture:
    """The family of this name.

    Raises:
        MoEError: when there is none.
    """
    if not isinstance(name, str) or name not in ARCHITECTURES:
        raise MoEError.of("layout", name, "is not known", f"use one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]
