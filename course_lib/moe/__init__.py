"""Mixtures of experts: routers, layers, expert parallelism, pretrained checkpoints, inference, analysis."""

from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError
from course_lib.moe.expert_parallel import ParallelExperts, expert_parallel, load_full_state, share_experts
from course_lib.moe.layer import MoELayer
from course_lib.moe.model import MoEModel, has_experts, moe_config, moe_layers
from course_lib.moe.routers import make_router
from course_lib.moe.routing import Routing, Slots
from course_lib.moe.training import MoETrainConfig

__all__ = [
    "MoEConfig",
    "MoEError",
    "MoELayer",
    "MoEModel",
    "MoETrainConfig",
    "ParallelExperts",
    "Routing",
    "Slots",
    "expert_parallel",
    "has_experts",
    "load_full_state",
    "make_router",
    "moe_config",
    "moe_layers",
    "share_experts",
]
