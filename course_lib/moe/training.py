"""A training run of a mixture of experts, for any engine of `course_lib.distributed` that takes whole models."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from course_lib.distributed import Mean, TrainConfig
from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError
from course_lib.moe.model import MoEModel, moe_layers


@dataclass(frozen=True, kw_only=True)
class MoETrainConfig(TrainConfig):
    """`TrainConfig` for a shape with experts.

    Args:
        moe: the layers with experts; `MoEConfig.of(model)` when left out.

    Engines that cut a model into pieces (tensor, pipeline, context) do not take it.

    Raises:
        MoEError: when the model has no experts.
    """

    moe: MoEConfig | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.model.experts:
            raise MoEError.of("model", self.model.name, "has no experts", "use TrainConfig, or moe_config()")

    def build_model(self) -> nn.Module:
        """The whole model with the run's initial weights, on the CPU."""
        return MoEModel(self.model, self.moe, seed=self.seed)

    def extra_loss(self, model: nn.Module, mean: Mean) -> Tensor | None:
        """The sum of all layers' auxiliary losses for the last forward pass."""
        terms = [term for layer in moe_layers(model) if (term := layer.auxiliary_loss(mean)) is not None]
        return sum(terms[1:], terms[0]) if terms else None

    def after_step(self, model: nn.Module, mean: Mean) -> None:
        """Let each layer learn from the loads of the step's global batch."""
        for layer in moe_layers(model):
            layer.after_step(mean)
