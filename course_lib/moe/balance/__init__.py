"""Keeping experts busy: losses, capacity, the selection bias, and the numbers that say how balanced a routing is."""

from course_lib.moe.balance.auxiliary import auxiliary_loss
from course_lib.moe.balance.bias import updated_bias
from course_lib.moe.balance.capacity import drop_over_capacity, expert_capacity, limit_capacity
from course_lib.moe.balance.logit_losses import importance_loss, load_loss, z_loss
from course_lib.moe.balance.losses import load_balance_loss
from course_lib.moe.balance.measures import dropped_share, load_variation, max_violation

__all__ = [
    "auxiliary_loss",
    "drop_over_capacity",
    "dropped_share",
    "expert_capacity",
    "importance_loss",
    "limit_capacity",
    "load_balance_loss",
    "load_loss",
    "load_variation",
    "max_violation",
    "updated_bias",
    "z_loss",
]
