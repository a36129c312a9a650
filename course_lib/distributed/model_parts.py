"""The model and the optimizer of a run, before any parallelism is applied."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.distributed.config import TrainConfig
from course_lib.distributed.optimizers import Lamb, Lion
from course_lib.distributed.recompute import apply_compile, apply_recomputation


def build_model(config: TrainConfig, device: torch.device) -> nn.Module:
    """The whole model with the run's initial weights, on one device, its blocks as the config asks for them."""
    model = config.build_model().to(device)
    finish_blocks(config, model)
    return model


def finish_blocks(config: TrainConfig, model: nn.Module) -> None:
    """Apply the config's recomputation and compilation; a kind that changes the insides of blocks does that before."""
    apply_recomputation(model, config.recomputation)
    if config.compile:
        apply_compile(model)


def build_optimizer(
    config: TrainConfig, parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]]
) -> torch.optim.Optimizer:
    """The run's optimizer over the parameters that a rank holds, or over groups of them."""
    lr, decay = config.learning_rate, config.weight_decay
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=lr, momentum=config.momentum, weight_decay=decay)
    if config.optimizer == "lamb":
        return Lamb(parameters, lr=lr, weight_decay=decay)
    if config.optimizer == "lion":
        return Lion(parameters, lr=lr, weight_decay=decay)
    return torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.95), weight_decay=decay)


def plain_state(model: nn.Module) -> dict[str, Tensor]:
    """The weights of a model that is whole on this rank, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
