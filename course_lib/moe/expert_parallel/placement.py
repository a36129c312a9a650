"""Putting a model's experts on ranks, and what their gradients and weights need because of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict, set_model_state_dict
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor

from course_lib.moe.balance import expert_capacity
from course_lib.moe.errors import MoEError
from course_lib.moe.expert_parallel.experts import ExchangeForm, ParallelExperts
from course_lib.moe.layer import MoELayer
from course_lib.moe.model import moe_layers

SHOWN = 4  # names in an error


def share_experts(model: nn.Module, mesh: DeviceMesh, exchange: ExchangeForm = "variable") -> None:
    """Keep, of each layer's experts, this rank's part; in place, names and whole shapes of weights stay.

    Args:
        model: with `MoELayer`s, the same weights on every rank.
        mesh: its last axis are the ranks that share experts; one before it are replicas.
        exchange: "variable" or "capacity", see `expert_parallel`.

    Raises:
        MoEError: for an unknown exchange, or "capacity" in a layer without a capacity factor, and when the ranks can't
            share the experts equally.
    """
    if exchange not in ("variable", "capacity"):
        raise MoEError.of("exchange", exchange, "is not known", "use 'variable' or 'capacity'")
    for layer in moe_layers(model):
        if exchange == "capacity" and layer.config.capacity_factor is None:
            remedy = "set one such as 1.25 in MoEConfig, or use exchange='variable'"
            raise MoEError.of("capacity_factor", None, "gives blocks of equal size no size", remedy)
        parallel = ParallelExperts(layer.experts, mesh, exchange)
        layer.experts = parallel  # type: ignore[assignment]
        if exchange == "capacity":
            layer.register_forward_pre_hook(_tell_capacity, with_kwargs=True)


def _tell_capacity(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    assert isinstance(layer, MoELayer)
    x: Tensor = args[0] if args else kwargs["x"]  # (..., hidden)
    config = layer.config
    tokens = x.numel() // config.hidden_size
    assert config.capacity_factor is not None
    room = expert_capacity(tokens, config.experts, config.experts_per_token, config.capacity_factor)
    cast(ParallelExperts, layer.experts).capacity = room


def expert_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters of all experts that ranks share."""
    shared = (module for module in model.modules() if isinstance(module, ParallelExperts))
    return [parameter for module in shared for parameter in module.parameters(recurse=False)]


def sum_expert_gradients(experts: Sequence[nn.Parameter], mesh: DeviceMesh) -> None:
    """Make of each expert's gradients those of the mean loss of all ranks' rows; in place, one exchange in all.

    Args:
        experts: see `expert_parameters`; each rank's `grad` holds what the rows of its replica have brought. An expert
            that nobody asked anything, and has none, gets zeros: its replicas may have been asked.
        mesh: replicas by expert ranks.
    """
    trained = [parameter for parameter in experts if parameter.requires_grad]
    for parameter in trained:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [cast(DTensor, parameter.grad).to_local() for parameter in trained]
    if mesh.size(0) > 1 and gradients:
        flat = torch.cat([gradient.flatten() for gradient in gradients])  # (parameters of this rank's experts,)
        dist.all_reduce(flat, group=mesh.get_group(0))
        parts = flat.split_with_sizes([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
    for gradient in gradients:
        gradient /= mesh.size()


def load_full_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give every rank its part of whole weights, such as another engine's `full_state` or a pretrained checkpoint's.

    Args:
        model: of an engine, its parameters sharded or not.
        state: the whole weights by the model's names; the same on every rank.

    Raises:
        MoEError: when names are missing or left over, or a shape is another one; nothing is loaded then.
    """
    ours = {name: tuple(cast(Tensor, value).shape) for name, value in get_model_state_dict(model).items()}
    given = {name: tuple(value.shape) for name, value in state.items()}
    differ = [f"{name} is {given.get(name)}" for name, shape in ours.items() if given.get(name) != shape]
    differ += [f"{name} is left over" for name in given if name not in ours]
    if differ:  # PyTorch would leave out what is missing, without a word
        more = f" and {len(differ) - SHOWN} more" if len(differ) > SHOWN else ""
        limit = f"is not the state of this model: {'; '.join(differ[:SHOWN])}{more}"
        raise MoEError.of("state", f"{len(given)} tensors", limit, "give the full_state() of a run of the same shape")
    set_model_state_dict(model, dict(state), options=StateDictOptions(full_state_dict=True))
