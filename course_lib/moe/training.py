"""A training run of a mixture of experts, for any engine of `course_lib.distributed` that takes whole models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from course_lib.distributed import Mean, TrainConfig
from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError
from course_lib.moe.model import MoEModel, moe_layers

SHOWN = 4  # names in an error


@dataclass(frozen=True, kw_only=True)
class MoETrainConfig(TrainConfig):
    """`TrainConfig` for a shape with experts.

    Any number of ranks computes what one process does: the load-balance loss counts the tokens of all ranks
    (balance_scope="global"), the z-loss is a mean over tokens, and the selection bias follows the load of the whole
    global batch. Capacity, the importance and load losses and noise are matters of one rank's microbatch, and so change
    with the number of ranks.

    With gradient accumulation the load-balance loss looks at each microbatch, of all ranks, for itself: a stricter
    demand than balance over their sum. The selection bias goes by the sum.

    Args:
        moe: the layers with experts; `MoEConfig.of(model)` when left out.
        start: weights to begin with in the place of random ones, by the model's names: `Run.weights` of an earlier run,
            or `upcycle(dense).state_dict()`.

    Engines that cut a model into pieces (tensor, pipeline, context) do not take it.

    Raises:
        MoEError: when the model has no experts, or `moe` is no MoEConfig.

    Source: Qiu et al. 2025 (arXiv:2501.11873) for the loss over all ranks, and what microbatches do to it.
    """

    moe: MoEConfig | None = None
    start: Mapping[str, Tensor] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.model.experts:
            raise MoEError.of("model", self.model.name, "has no experts", "use TrainConfig, or moe_config()")
        if self.moe is not None and not isinstance(self.moe, MoEConfig):
            raise MoEError.of("moe", self.moe, "is no MoEConfig", "use MoEConfig.of(model, ...)")

    def build_model(self) -> nn.Module:
        """The whole model with the run's initial weights, on the CPU.

        Raises:
            MoEError: when `start` is of another model.
        """
        model = MoEModel(self.model, self.moe, seed=self.seed)
        if self.start is not None:
            load_weights(model, self.start)
        return model

    def before_step(self, model: nn.Module, step: int) -> None:
        """Tell each layer which step it is in, so that an error can name it; a resumed run goes on counting."""
        for layer in moe_layers(model):
            layer.place.step = step

    def extra_loss(self, model: nn.Module, mean: Mean) -> Tensor | None:
        """The sum of all layers' auxiliary losses for the last forward pass, whose load is counted here as well."""
        terms: list[Tensor] = []
        for layer in moe_layers(model):
            layer.count_load()
            term = layer.auxiliary_loss(mean)
            terms += [] if term is None else [term]
        return torch.stack(terms).sum() if terms else None

    def after_step(self, model: nn.Module, mean: Mean) -> None:
        """Let each layer learn from the loads of the step's global batch."""
        for layer in moe_layers(model):
            layer.after_step(mean)


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy weights into a model that has the same names and shapes, or else leave it as it is.

    Raises:
        MoEError: naming what is missing, what is too much, and what has another shape.
    """
    own = model.state_dict()
    told = [f"{name} is missing" for name in own if name not in weights]
    told += [f"{name} is too much" for name in weights if name not in own]
    told += [
        f"{name} is {tuple(weights[name].shape)} instead of {tuple(value.shape)}"
        for name, value in own.items()
        if name in weights and weights[name].shape != value.shape
    ]
    if told:
        more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
        raise MoEError.of(
            "weights",
            f"{len(weights)} tensors",
            f"are of another model: {'; '.join(told[:SHOWN])}{more}",
            "give weights of the same shape of model",
        )
    model.load_state_dict(dict(weights))
