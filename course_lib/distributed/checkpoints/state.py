"""What a checkpoint holds, and how it comes back: weights, optimizer, random generators, and what a rank adds."""

from __future__ import annotations

import pickle
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from course_lib.distributed.checkpoints.errors import CheckpointError
from course_lib.distributed.checkpoints.ranks import Ranks
from course_lib.distributed.engine import Engine

# By each weight's own name rather than by its place in a list: only so can another layout find its part.
BY_NAME = StateDictOptions(flatten_optimizer_state_dict=True)
SHOWN = 4  # names in an error


def collect(engine: Engine, ranks: Ranks, extra: object, *, optimizer: bool) -> dict[str, Any]:
    """A rank's part of a checkpoint.

    Args:
        engine: of this rank.
        ranks: that save together.
        extra: the rank's own addition, picklable.
        optimizer: with the optimizer's state; False before the first step, when there is none.
    """
    memories = {name: memory.state_dict() for name, memory in engine.memories.items()}
    own = {str(ranks.rank): pickle.dumps((generators(), memories, extra))}
    state: dict[str, Any] = {"model": get_model_state_dict(engine.model), "rank": own}
    return state | ({"optimizer": optimizer_state(engine)} if optimizer else {})


def optimizer_state(engine: Engine) -> dict[str, Any]:
    """The optimizer's state and settings by the weights' names, also the learning rate that a schedule multiplies."""
    for group in engine.optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])
    if not engine.optimizer.state:
        _make_state(engine.optimizer)
    return get_optimizer_state_dict(engine.model, engine.optimizer, options=BY_NAME)


def _make_state(optimizer: torch.optim.Optimizer) -> None:
    """Give a new optimizer the state that its first step would make, for a load to overwrite; weights stay.

    PyTorch's own way to do so hands `zero_grad` an argument that Horovod's optimizer does not take.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def template(engine: Engine, ranks: Ranks, metadata: Metadata, *, optimizer: bool) -> dict[str, Any]:
    """What to load into: this rank's own tensors, which are overwritten, and names for the rest."""
    state: dict[str, Any] = {"model": get_model_state_dict(engine.model)}
    if optimizer:
        state["optimizer"] = optimizer_state(engine)
    if f"rank.{ranks.rank}" in metadata.state_dict_metadata:
        state["rank"] = {str(ranks.rank): b""}
    return state


def restore(engine: Engine, state: dict[str, Any]) -> None:
    """Put loaded weights and optimizer state where the engine computes with them."""
    set_model_state_dict(engine.model, state["model"])
    if "optimizer" in state:
        set_optimizer_state_dict(engine.model, engine.optimizer, state["optimizer"], options=BY_NAME)


def check_fits(engine: Engine, ranks: Ranks, metadata: Metadata, what: str) -> None:
    """Raise `CheckpointError`, naming the tensors, unless the model of all ranks has those of the checkpoint."""
    ours: dict[str, tuple[int, ...]] = {}
    state = get_model_state_dict(engine.model)
    mine = {name: tuple(value.shape) for name, value in state.items() if isinstance(value, torch.Tensor)}
    for part in ranks.gather(mine):
        ours.update(part)
    saved = {
        name.removeprefix("model."): tuple(value.size)
        for name, value in metadata.state_dict_metadata.items()
        if name.startswith("model.") and isinstance(value, TensorStorageMetadata)
    }
    differ = _differences(ours, saved)
    if differ:
        more = f" and {len(differ) - SHOWN} more" if len(differ) > SHOWN else ""
        raise CheckpointError(
            f"{what} is of another model: {'; '.join(differ[:SHOWN])}{more}. Remedy: build the engine with the config "
            "of the run that saved it, or give this run a folder of its own."
        )


def _differences(ours: Mapping[str, tuple[int, ...]], saved: Mapping[str, tuple[int, ...]]) -> list[str]:
    changed = (name for name in ours if saved.get(name, ours[name]) != ours[name])
    told = [f"{name} is {saved[name]} there and {ours[name]} here" for name in changed]
    told += [f"{name} is only here" for name in ours if name not in saved]
    return told + [f"{name} is only there" for name in saved if name not in ours]


def generators() -> dict[str, Any]:
    """The state of every random generator of this process."""
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": np.random.get_state(),  # the global generator is what libraries draw from
        "torch": torch.get_rng_state(),
    }
    device = _accelerator()
    return state | ({"device": device.get_rng_state()} if device else {})


def set_generators(state: Mapping[str, Any]) -> None:
    """Put every random generator of this process where it was."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    device = _accelerator()
    if device and "device" in state:
        device.set_rng_state(state["device"])


def _accelerator() -> Any:
    """The module of this machine's accelerator; None on a CPU."""
    return torch.get_device_module() if torch.accelerator.is_available() else None
