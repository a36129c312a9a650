"""Lion: the sign of a momentum, one moment instead of Adam's two.

Every element moves by the learning rate exactly, whatever its gradient's size, so lr must be 3 to 10 times below
AdamW's and the weight decay as many times above it. Half of AdamW's optimizer memory.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from course_lib.distributed.dtensors import local
from course_lib.distributed.errors import check_decay_rate, check_not_negative
from course_lib.distributed.optimizers.base import GroupwiseOptimizer, check_learning_rate
from course_lib.distributed.optimizers.gradients import Gathered, zeros_for


class Lion(GroupwiseOptimizer):
    """Evolved sign momentum: w moves by -lr (sign(b1 m + (1 - b1) g) + weight_decay w), then m = b2 m + (1 - b2) g.

    The momentum is float32 in whatever dtype the parameters are; DTensor parameters are stepped shard by shard, for
    nothing in it looks beyond one element.

    Args:
        params: parameters, named parameters or groups.
        lr: how far every element moves. A Tensor is read as a number.
        betas: b1 mixes the momentum into the direction, b2 is what the momentum keeps.
        weight_decay: decoupled, times lr.
        check_finite: refuse inf and NaN before anything is changed; see `Lamb`. Without it a NaN shows nowhere: its
            sign is 0, the element stands still and so does its momentum, for good.

    Raises:
        TrainingSetupError: for a setting out of range.

    Source: Chen et al. 2023 (arXiv:2302.06675), algorithm 2.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        check_finite: bool = True,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "check_finite": check_finite})

    def check(self, group: dict[str, Any]) -> None:
        """Refuse a setting out of range."""
        check_learning_rate(group["lr"])
        for name, beta in zip(("betas[0]", "betas[1]"), group["betas"], strict=True):
            check_decay_rate(name, beta)
        check_not_negative("weight_decay", group["weight_decay"])

    def update(self, group: dict[str, Any], gathered: Gathered) -> None:
        """Run algorithm 2 on one group."""
        lr, (beta1, beta2) = float(group["lr"]), group["betas"]
        states = [self.state[parameter] for parameter in gathered.parameters]
        for state, parameter in zip(states, gathered.parameters, strict=True):
            if not state:
                state["exp_avg"] = zeros_for(parameter)
        momenta = [local(state["exp_avg"]) for state in states]
        directions = torch._foreach_lerp(momenta, gathered.gradients, 1 - beta1)
        torch._foreach_sign_(directions)
        torch._foreach_mul_(gathered.weights, 1 - lr * group["weight_decay"])
        torch._foreach_add_(gathered.weights, directions, alpha=-lr)
        torch._foreach_lerp_(momenta, gathered.gradients, 1 - beta2)
