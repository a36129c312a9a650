"""What a mixture-of-experts layer is: its shape, its router, and how it keeps its experts busy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from course_lib.catalog import ModelConfig
from course_lib.moe.errors import MoEError, check_count, check_not_negative

RouterName = Literal[
    "topk", "switch", "noisy_topk", "expert_choice", "hash", "sigmoid_bias", "sinkhorn", "base", "soft", "task"
]
ROUTERS: tuple[str, ...] = (
    "topk",
    "switch",
    "noisy_topk",
    "expert_choice",
    "hash",
    "sigmoid_bias",
    "sinkhorn",
    "base",
    "soft",
    "task",
)
CHOICES: dict[str, tuple[str, ...]] = {
    "router": ROUTERS,
    "softmax": ("before", "after"),
    "activation": ("silu", "gelu", "relu"),
    "balance_scope": ("rank", "global"),
    "drop": ("position", "weight"),
    "execution": ("grouped", "loop"),
}


@dataclass(frozen=True, kw_only=True)
class MoEConfig:
    """One mixture-of-experts layer.

    Args:
        hidden_size: width of the tokens that enter and leave (h).
        expert_hidden_size: inner width of one expert.
        experts: routed experts (E).
        experts_per_token: routed experts that a token visits (k).
        shared_experts: experts that every token visits besides; as many times `expert_hidden_size` wide.
        router: how tokens choose; one of `ROUTERS`.
        softmax: "before" takes it over all experts and then the k largest (Mixtral, OLMoE), "after" over the chosen
            k logits only (Shazeer 2017). Both choose the same experts; with `normalize` the weights are equal too.
        normalize: weights of a token's k experts are scaled to sum to 1 (Mixtral: yes; OLMoE, Switch: no).
        scale: factor of the weights (DeepSeek-V3: 2.5).
        gated: three matrices (SwiGLU) instead of two.
        activation: of the experts, "silu", "gelu" (tanh form) or "relu".
        capacity_factor: an expert takes at most ceil(factor * tokens * k / E) tokens, the others are dropped; None
            drops nothing.
        drop: who stays when an expert is full: "position" first come, first served (Switch), or the largest "weight".
        balance_loss: coefficient of the load-balance loss; 0 for none (Switch 1e-2, OLMoE 1e-2, Mixtral 1e-3).
        balance_scope: over which tokens the loss counts the load: those of this "rank", or of all ("global").
        z_loss: coefficient of the router z-loss (ST-MoE 1e-3).
        importance_loss: coefficient of the importance loss (Shazeer 2017).
        bias_update_rate: step of the selection bias of "sigmoid_bias" (1e-3).
        groups, groups_per_token: experts in so many groups, of which a token may use that many (DeepSeek-V3: 8, 4).
        jitter: uniform noise of relative size `jitter` on the router's input while training (Switch 1e-2).
        tasks: of the "task" router.
        slots_per_expert: of "soft".
        execution: "grouped" sorts tokens by expert; "loop" is the readable form, expert by expert.
        seed: of the hash router's table. Noise and jitter are drawn from torch's generator: `seed_everything` sets it.

    Raises:
        MoEError: for a value outside of its domain.

    Source: arXiv:1701.06538 (noisy top-k), 2101.03961 (Switch), 2401.04088 (Mixtral), 2409.02060 (OLMoE),
        2412.19437 (DeepSeek-V3).
    """

    hidden_size: int
    expert_hidden_size: int
    experts: int = 8
    experts_per_token: int = 2
    shared_experts: int = 0
    router: RouterName = "topk"
    softmax: Literal["before", "after"] = "before"
    normalize: bool = True
    scale: float = 1.0
    gated: bool = True
    activation: Literal["silu", "gelu", "relu"] = "silu"
    capacity_factor: float | None = None
    drop: Literal["position", "weight"] = "position"
    balance_loss: float = 0.0
    balance_scope: Literal["rank", "global"] = "global"
    z_loss: float = 0.0
    importance_loss: float = 0.0
    bias_update_rate: float = 1e-3
    groups: int = 1
    groups_per_token: int = 1
    jitter: float = 0.0
    tasks: int = 0
    slots_per_expert: int = 1
    execution: Literal["grouped", "loop"] = "grouped"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("hidden_size", "expert_hidden_size", "experts", "experts_per_token", "groups", "groups_per_token"):
            check_count(name, getattr(self, name))
        for name in ("shared_experts", "tasks", "seed"):
            check_count(name, getattr(self, name), minimum=0)
        check_count("slots_per_expert", self.slots_per_expert)
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise MoEError.of(name, value, "is not known", f"use one of {', '.join(choices)}")
        if self.experts_per_token > self.experts:
            raise MoEError.of(
                "experts_per_token", self.experts_per_token, f"is more than the {self.experts} experts", "use fewer"
            )
        if self.router == "switch" and self.experts_per_token != 1:
            raise MoEError.of("experts_per_token", self.experts_per_token, "must be 1 for router 'switch'", "use 1")
        for name in ("balance_loss", "z_loss", "importance_loss", "bias_update_rate", "jitter"):
            check_not_negative(name, getattr(self, name), "give 0.0 for none, or one such as 0.01")
        if self.capacity_factor is not None:
            check_not_negative("capacity_factor", self.capacity_factor, "give 1.25, or None to drop nothing")
            if self.capacity_factor == 0:
                raise MoEError.of("capacity_factor", 0, "leaves no expert a token", "give 1.25, or None")
        check_not_negative("scale", self.scale, "give 1.0")
        if self.experts % self.groups:
            raise MoEError.of("groups", self.groups, f"does not divide {self.experts} experts", "use a divisor")
        if self.groups_per_token > self.groups:
            raise MoEError.of("groups_per_token", self.groups_per_token, f"is more than groups={self.groups}", "use 1")
        if self.experts_per_token > self.groups_per_token * (self.experts // self.groups):
            raise MoEError.of(
                "experts_per_token",
                self.experts_per_token,
                f"does not fit into {self.groups_per_token} groups of {self.experts // self.groups} experts",
                "allow more groups_per_token",
            )
        if (self.router == "task") != (self.tasks > 0):
            raise MoEError.of("tasks", self.tasks, f"does not fit router={self.router!r}", "give both or neither")

    @classmethod
    def of(cls, model: ModelConfig, **options: Any) -> MoEConfig:
        """The layers of a model's shape; `options` set what a shape leaves open.

        Raises:
            MoEError: for a dense model, or options outside of their domain.
        """
        if not model.experts:
            raise MoEError.of("model", model.name, "has no experts", "take model('mixtral-8x7b') or moe_config()")
        shape: dict[str, Any] = {
            "hidden_size": model.hidden_size,
            "expert_hidden_size": model.expert_hidden_size,
            "experts": model.experts,
            "experts_per_token": model.experts_per_token,
            "shared_experts": model.shared_experts,
            "gated": model.gated_ffn,
            "activation": "silu" if model.gated_ffn else "gelu",
        }
        return cls(**(shape | options))
