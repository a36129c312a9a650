"""Routers by name: which experts a token visits, and with what weight."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError
from course_lib.moe.routers.auction import balanced_assignment
from course_lib.moe.routers.base import Base
from course_lib.moe.routers.expert_choice import ExpertChoice
from course_lib.moe.routers.hashing import Hash
from course_lib.moe.routers.noisy_topk import NoisyTopK
from course_lib.moe.routers.scoring import Place
from course_lib.moe.routers.sigmoid_bias import SigmoidBias
from course_lib.moe.routers.sinkhorn import Sinkhorn, sinkhorn_plan
from course_lib.moe.routers.soft import Soft, SoftMoELayer, SoftRouting
from course_lib.moe.routers.switch import Switch
from course_lib.moe.routers.task import Task
from course_lib.moe.routers.topk import TopK

__all__ = [
    "Base",
    "ExpertChoice",
    "Hash",
    "NoisyTopK",
    "Place",
    "SigmoidBias",
    "Sinkhorn",
    "Soft",
    "SoftMoELayer",
    "SoftRouting",
    "Switch",
    "Task",
    "TopK",
    "balanced_assignment",
    "make_router",
    "sinkhorn_plan",
]

KINDS: dict[str, Callable[[MoEConfig, Place], nn.Module]] = {
    "base": Base,
    "expert_choice": ExpertChoice,
    "hash": Hash,
    "noisy_topk": NoisyTopK,
    "sigmoid_bias": SigmoidBias,
    "sinkhorn": Sinkhorn,
    "switch": Switch,
    "task": Task,
    "topk": TopK,
}


def make_router(config: MoEConfig, place: Place | None = None) -> nn.Module:
    """The router that a config names: a module with forward(x (tokens, hidden), ids=None, task=None) -> Routing.

    Args:
        config: of the layer.
        place: where the router stands, for its error messages; the caller may keep its `step` up to date.

    Raises:
        MoEError: when there is none of this name, or for "soft", which mixes tokens and has a layer of its own.
    """
    if config.router == "soft":
        raise MoEError.of("router", "soft", "sends no token anywhere: it mixes them", "use SoftMoELayer(config)")
    if config.router not in KINDS:
        raise MoEError.of("router", config.router, "is not known", f"use one of {', '.join(KINDS)}")
    return KINDS[config.router](config, place or Place())
