"""LARS: momentum SGD with a step length for each layer; the older sibling of LAMB, for convolutional networks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from course_lib.distributed.dtensors import local
from course_lib.distributed.errors import check_decay_rate, check_not_negative, check_positive
from course_lib.distributed.optimizers.base import GroupwiseOptimizer, check_learning_rate
from course_lib.distributed.optimizers.gradients import Gathered, zeros_for
from course_lib.distributed.optimizers.shards import global_norms


class Lars(GroupwiseOptimizer):
    """Layerwise adaptive rate scaling.

    A layer's own rate is trust |w| / (|g| + weight_decay |w|); the momentum takes v = momentum v + lr rate (g +
    weight_decay w), and w moves by -v. The momentum is float32; norms of DTensor parameters are those of the whole.

    Args:
        params: parameters, named parameters or groups.
        lr: the global rate. A Tensor is read as a number.
        momentum: what v keeps in a step.
        weight_decay: beta of the paper, inside the layer's rate.
        trust: eta of the paper, how much of its own length a layer may move.
        adapt: False makes the layer's rate 1, which is SGD; usual for biases and norms.
        check_finite: refuse inf and NaN before anything is changed; see `Lamb`.

    Raises:
        TrainingSetupError: for a setting out of range.

    Source: You et al. 2017 (arXiv:1708.03888), algorithm 1.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        *,
        trust: float = 0.001,
        adapt: bool = True,
        check_finite: bool = True,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust": trust,
            "adapt": adapt,
            "check_finite": check_finite,
        }
        super().__init__(params, defaults)

    def check(self, group: dict[str, Any]) -> None:
        """Refuse a setting out of range."""
        check_learning_rate(group["lr"])
        check_decay_rate("momentum", group["momentum"])
        check_not_negative("weight_decay", group["weight_decay"])
        check_positive("trust", group["trust"], "give a small share such as 0.001")

    def update(self, group: dict[str, Any], gathered: Gathered) -> None:
        """Run algorithm 1 on one group."""
        states = [self.state[parameter] for parameter in gathered.parameters]
        for state, parameter in zip(states, gathered.parameters, strict=True):
            if not state:
                state["momentum_buffer"] = zeros_for(parameter)
        velocities = [local(state["momentum_buffer"]) for state in states]
        lr = float(group["lr"])
        steps = torch._foreach_add(gathered.gradients, gathered.weights, alpha=group["weight_decay"])
        torch._foreach_mul_(steps, list(_rates(group, gathered).mul(lr).unbind()) if group["adapt"] else lr)
        torch._foreach_mul_(velocities, group["momentum"])
        torch._foreach_add_(velocities, steps)
        torch._foreach_sub_(gathered.weights, velocities)


def _rates(group: dict[str, Any], gathered: Gathered) -> Tensor:
    """Each layer's own rate  # (parameters,); 1 where its weights or gradient are zero, so that it can leave zero."""
    both = global_norms([*gathered.weights, *gathered.gradients], [*gathered.parameters] * 2)
    weights, gradients = both.chunk(2)  # (parameters,) each
    rates = group["trust"] * weights / (gradients + group["weight_decay"] * weights)
    return torch.where((weights > 0) & (gradients > 0), rates, torch.ones_like(rates))
