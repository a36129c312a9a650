"""DeepSpeed's MoE layer with the weights of one of ours, and those weights back."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.moe.activations import nonlinear
from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError
from course_lib.moe.layer import MoELayer
from course_lib.moe.training import MoETrainConfig


def check_layer(config: MoETrainConfig) -> None:
    """Raise `MoEError` for what DeepSpeed's layer does not compute, or computes differently."""
    moe = config.moe or MoEConfig.of(config.model)
    needed = {
        "softmax": "before",
        "normalize": moe.experts_per_token > 1,  # its top-1 does not, its top-k does
        "scale": 1.0,
        "shared_experts": 0,
        "capacity_factor": None,
        "z_loss": 0.0,
        "importance_loss": 0.0,
        "jitter": 0.0,
        "groups": 1,
    }
    if moe.router not in ("topk", "switch"):
        raise MoEError.of("router", moe.router, "is not among DeepSpeed's", "use 'topk', or expert_parallel")
    for name, value in needed.items():
        if moe.router == "switch" and name in ("normalize", "softmax"):
            continue
        if getattr(moe, name) != value:
            raise MoEError.of(
                name, getattr(moe, name), "is not what DeepSpeed's layer computes", f"use {value!r}, or expert_parallel"
            )
    if moe.balance_loss and (moe.balance_scope != "rank" or moe.experts_per_token == 2):
        raise MoEError.of(
            "balance_loss",
            moe.balance_loss,
            "is of one rank's tokens in DeepSpeed, and of first choices alone for k = 2",
            "use 0.0, or balance_scope='rank' with another k",
        )
    for name, value in {"precision": "fp32", "clip_norm": None, "compile": False}.items():
        if getattr(config, name) != value:
            raise MoEError.of(
                name, getattr(config, name), "is not supported with DeepSpeed", f"use {value!r}, or expert_parallel"
            )


def replace_layers(model: nn.Module, expert_ranks: int) -> dict[str, DeepSpeedLayer]:
    """Put DeepSpeed's layer in the place of each of ours, in place; all ranks together.

    Args:
        model: whole.
        expert_ranks: ranks that share the experts.

    Returns:
        The new ones by name.
    """
    ours = {name: module for name, module in model.named_modules() if isinstance(module, MoELayer)}
    layers = {}
    for name, layer in ours.items():
        layers[name] = DeepSpeedLayer(layer, expert_ranks)
        model.set_submodule(name, layers[name])
    return layers


class Expert(nn.Module):
    """One expert, which DeepSpeed copies as often as there are experts on a rank."""

    def __init__(self, config: MoEConfig, up: Tensor, down: Tensor) -> None:
        super().__init__()
        self.gated, self.activation = config.gated, config.activation
        self.up, self.down = nn.Parameter(up.detach().clone()), nn.Parameter(down.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """(..., rows, hidden) -> the same shape."""
        projected = F.linear(x, self.up)  # (..., rows, 2 inner) or (..., rows, inner)
        return F.linear(nonlinear(projected, self.activation, self.gated), self.down)


class DeepSpeedLayer(nn.Module):
    """DeepSpeed's layer, dropless, in a block of our model.

    Args:
        layer: whose shape and weights it takes over.
        expert_ranks: ranks that share its experts.
    """

    def __init__(self, layer: MoELayer, expert_ranks: int) -> None:
        from deepspeed.moe.layer import MoE  # type: ignore[import-not-found]

        super().__init__()
        config, experts = layer.config, layer.experts
        self.inner: Any = MoE(
            config.hidden_size,
            Expert(config, experts.up[0], experts.down[0]),
            num_experts=config.experts,
            ep_size=expert_ranks,
            k=config.experts_per_token,
            drop_tokens=False,
            min_capacity=0,
            use_rts=False,
            top2_2nd_expert_sampling=False,  # the second choice would be drawn by lot
        )
        self.balance_loss = torch.zeros(())
        first = dist.get_rank() % expert_ranks * self.inner.num_local_experts
        with torch.no_grad():
            self.inner.deepspeed_moe.gate.wg.weight.copy_(layer.router.weight)
            for number, expert in enumerate(self.local()):
                expert.up.copy_(experts.up[first + number])
                expert.down.copy_(experts.down[first + number])

    def local(self) -> list[Expert]:
        """The experts that lie on this rank, by rising number."""
        return list(self.inner.deepspeed_moe.experts.deepspeed_experts)

    def forward(self, x: Tensor) -> Tensor:
        """(..., hidden) -> (..., hidden)."""
        out: Tensor
        out, self.balance_loss, _ = self.inner(x)
        return out

    def gathered(self) -> dict[str, Tensor]:
        """The weights by our layer's names, of all experts; all ranks together."""
        state = {"router.weight": self.inner.deepspeed_moe.gate.wg.weight}
        for name in ("up", "down"):
            own = torch.stack([getattr(expert, name).detach() for expert in self.local()])  # (local experts, ...)
            parts = [torch.empty_like(own) for _ in range(self.inner.ep_size)]
            dist.all_gather(parts, own, group=self.inner.deepspeed_moe.ep_group)
            state[f"experts.{name}"] = torch.cat(parts)
        return state
