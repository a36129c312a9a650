"""What LAMB, LARS and Lion share as torch.optim optimizers: a step from gathered gradients, and float32 memory.

torch.optim.Optimizer.load_state_dict casts every state tensor to its parameter's dtype, so that a bfloat16 parameter
would come back with bfloat16 moments and the resumed run would part from the one that never stopped. Here it doesn't.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_lib.distributed.errors import check_not_negative
from course_lib.distributed.optimizers.gradients import Gathered, gather, wide_dtype


class GroupwiseOptimizer(torch.optim.Optimizer):
    """Steps one parameter group after another, all of whose gradients were looked at before the first is changed."""

    @abstractmethod
    def check(self, group: dict[str, Any]) -> None:
        """Raise `TrainingSetupError` for a setting of a new group that is out of range."""

    @abstractmethod
    def update(self, group: dict[str, Any], gathered: Gathered) -> None:
        """Change the weights and the optimizer's memory of one group, in place."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with settings of their own; see torch.optim.Optimizer."""
        super().add_param_group(param_group)
        self.check(self.param_groups[-1])

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step.

        Args:
            closure: computes the loss anew, with gradients.

        Returns:
            The closure's loss, or None.

        Raises:
            NonFiniteGradientError: for inf or NaN in a gradient, before anything is changed.
            TypeError: for sparse gradients.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group, gathered in [(group, gather(group)) for group in self.param_groups]:
            if gathered.parameters:
                self.update(group, gathered)
                gathered.write_back()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a saved state, with the tensors in the float32 that they were saved in."""
        super().load_state_dict(state_dict)
        saved = [number for group in state_dict["param_groups"] for number in group["params"]]
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        for number, parameter in zip(saved, parameters, strict=True):
            wide = wide_dtype(parameter.dtype)
            for key, value in state_dict["state"].get(number, {}).items():
                if isinstance(value, Tensor) and key != "step" and parameter.dtype != wide:
                    self.state[parameter][key] = value.to(device=parameter.device, dtype=wide, copy=True)


def check_learning_rate(lr: float | Tensor) -> None:
    """Refuse a rate that is no finite number of at least 0; 0 is what warm-up starts from."""
    check_not_negative("lr", float(lr) if isinstance(lr, Tensor) else lr)
