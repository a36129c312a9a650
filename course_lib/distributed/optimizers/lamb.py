"""LAMB: Adam's direction, with a step length for each layer that is a fixed share of the layer's own size.

A large batch allows a large learning rate only until the layer whose weights are smallest beside its update diverges.
LAMB makes that ratio the same in all layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from course_lib.catalog import is_number
from course_lib.distributed.dtensors import local
from course_lib.distributed.errors import TrainingSetupError, check_decay_rate, check_not_negative, check_positive
from course_lib.distributed.optimizers.base import GroupwiseOptimizer, check_learning_rate
from course_lib.distributed.optimizers.gradients import Gathered, zeros_for
from course_lib.distributed.optimizers.shards import global_norms


class Lamb(GroupwiseOptimizer):
    """Layerwise adaptive moments for large batches.

    With r = m_hat / (sqrt(v_hat) + eps) of Adam and u = r + weight_decay w, a layer moves by lr phi(|w|) u / |u|. The
    decay is decoupled as in AdamW. Moments are float32 in whatever dtype the parameters are; DTensor parameters (FSDP2,
    tensor parallelism) are stepped with the norms of the whole parameter.

    Args:
        params: parameters, named parameters or groups.
        lr: eta. A Tensor is read as a number.
        betas: what the running means of gradient and squared gradient keep in a step.
        eps: added to the root of the second moment.
        weight_decay: lambda.
        norm_bounds: (low, high) of phi, which clips |w|; the default is phi(z) = z.
        adapt: False leaves out the layerwise factor, which is AdamW's step; usual for biases and norms.
        check_finite: refuse inf and NaN before anything is changed: one pass over the gradients and one wait for the
            device in each step. Turn it off where gradients are clipped with error_if_nonfinite or a GradScaler steps.

    Raises:
        TrainingSetupError: for a setting out of range.

    Source: You et al. 2019 (arXiv:1904.00962), algorithm 2. A layer whose weights or whose update are all zero takes
        the factor 1, as the authors' release does: it could not leave zero otherwise.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
        *,
        norm_bounds: tuple[float, float] = (0.0, math.inf),
        adapt: bool = True,
        check_finite: bool = True,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "norm_bounds": norm_bounds,
            "adapt": adapt,
            "check_finite": check_finite,
        }
        super().__init__(params, defaults)

    def check(self, group: dict[str, Any]) -> None:
        """Refuse a setting out of range."""
        check_learning_rate(group["lr"])
        for name, beta in zip(("betas[0]", "betas[1]"), group["betas"], strict=True):
            check_decay_rate(name, beta)
        check_positive(
            "eps", group["eps"], "give a small number such as 1e-6; it keeps a step finite where gradients are 0"
        )
        check_not_negative("weight_decay", group["weight_decay"])
        low, high = group["norm_bounds"]
        if not is_number(low) or not (is_number(high) or high == math.inf) or not 0 <= low < high:
            raise TrainingSetupError.of(
                "norm_bounds", group["norm_bounds"], "must be (low, high) with 0 <= low < high", "give (0.0, 10.0)"
            )

    def update(self, group: dict[str, Any], gathered: Gathered) -> None:
        """Run algorithm 2 on one group."""
        beta1, beta2 = group["betas"]
        states = [self.state[parameter] for parameter in gathered.parameters]
        for state, parameter in zip(states, gathered.parameters, strict=True):
            if not state:
                state["step"] = torch.tensor(0.0)
                state["exp_avg"] = zeros_for(parameter)
                state["exp_avg_sq"] = zeros_for(parameter)
            state["step"] += 1
        steps = [int(state["step"]) for state in states]
        means = [local(state["exp_avg"]) for state in states]
        squares = [local(state["exp_avg_sq"]) for state in states]
        torch._foreach_lerp_(means, gathered.gradients, 1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gathered.gradients, gathered.gradients, 1 - beta2)

        # m_hat / (sqrt(v_hat) + eps) with both corrections in the denominator: one pass less over memory
        corrections = [1 - beta1**step for step in steps]
        denominators = torch._foreach_sqrt(squares)
        torch._foreach_mul_(
            denominators, [c / math.sqrt(1 - beta2**step) for c, step in zip(corrections, steps, strict=True)]
        )
        torch._foreach_add_(denominators, [c * group["eps"] for c in corrections])
        updates = torch._foreach_div(means, denominators)
        del denominators
        if group["weight_decay"]:
            torch._foreach_add_(updates, gathered.weights, alpha=group["weight_decay"])

        lr = float(group["lr"])
        if not group["adapt"]:
            torch._foreach_add_(gathered.weights, updates, alpha=-lr)
            return
        ratios = trust_ratios(gathered, updates, group["norm_bounds"])
        torch._foreach_mul_(updates, list(ratios.mul(-lr).unbind()))
        torch._foreach_add_(gathered.weights, updates)


def trust_ratios(gathered: Gathered, updates: Sequence[Tensor], bounds: tuple[float, float]) -> Tensor:
    """phi(|w|) / |u| of each layer, 1 where either is zero.

    Args:
        gathered: the parameters and the parts of them that this rank holds.
        updates: u, this rank's part of each.
        bounds: (low, high) of phi.

    Returns:
        ratios  # (parameters,)

    Source: You et al. 2019 (arXiv:1904.00962), section 3.
    """
    both = global_norms([*gathered.weights, *updates], [*gathered.parameters] * 2)
    weights, lengths = both.chunk(2)  # (parameters,) each
    sizes = weights.clamp(*bounds)
    return torch.where((sizes > 0) & (lengths > 0), sizes / lengths, torch.ones_like(sizes))
