"""Where a model's adapters sit: each weight that has some, with the name that it had before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.utils import parametrize

from course_lib.models import GPT
from course_lib.moe.errors import MoEError
from course_lib.moe.experts import Experts
from course_lib.moe.layer import MoELayer
from course_lib.moe.lora.adapters import Adapters
from course_lib.moe.lora.experts import LoRAExperts
from course_lib.moe.lora.linear import LoRALinear

# the matrices of shared experts, which are one wider block, that stand beside the routed experts' two
SHARED = {"up": ("w1", "w3"), "down": ("w2",)}


@dataclass(frozen=True)
class Site:
    """One adapted weight.

    Args:
        block: number of its block, as the model names it.
        matrix: which of the block's, one of `MATRICES`, or "shared.w1", "shared.w2" and "shared.w3".
        weight: the base's parameter.
        adapters: of it.
    """

    block: str
    matrix: str
    weight: Tensor
    adapters: Adapters


def sites(model: nn.Module) -> list[Site]:
    """All adapted weights, from input to output."""
    found = (site for number, block in blocks(model) for site in _of_block(number, block))
    return [site for site in found if site.adapters.configs]


def blocks(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The numbered blocks of a model, however it is wrapped.

    Raises:
        MoEError: for a model that is no `GPT`.
    """
    found = next((m for m in model.modules() if isinstance(m, GPT)), None)
    if found is None:
        remedy = "give a MoEModel; onto transformers' models, peft puts adapters"
        raise MoEError.of("model", type(model).__name__, "is no GPT of course_lib", remedy)
    yield from found.layers.items()


def open_matrix(block: nn.Module, matrix: str) -> list[tuple[Adapters, Tensor, str]]:
    """Make room for adapters of one of a block's matrices.

    Returns:
        The adapters, their weight and the name of the site; several for experts of a layer with shared ones; none
        where the block has no such matrix.

    Raises:
        MoEError: for a part that some other feature has exchanged.
    """
    if matrix.startswith("attention."):
        return [_open_linear(block.attention, matrix.rpartition(".")[2], matrix)]  # type: ignore[arg-type]
    layer = block.feed_forward
    if not isinstance(layer, MoELayer):
        return []
    if matrix == "router":
        return [_open_router(layer)]
    which = matrix.rpartition(".")[2]
    opened = [_open_experts(layer, which, matrix)]
    for name, part in [] if layer.shared is None else list(layer.shared.named_children()):
        if name in SHARED[which] and isinstance(part, nn.Linear | LoRALinear):
            opened.append(_open_linear(layer.shared, name, f"shared.{name}"))  # type: ignore[arg-type]
    return opened


def close(block: nn.Module) -> None:
    """Put plain parts back where no adapter is left."""
    layer = block.feed_forward
    for owner in (block.attention, getattr(layer, "shared", None)):
        for name, part in [] if owner is None else list(owner.named_children()):  # type: ignore[union-attr]
            if isinstance(part, LoRALinear) and not part.lora.configs:
                setattr(owner, name, part.plain())
    if not isinstance(layer, MoELayer):
        return
    if (adapters := _router_adapters(layer)) is not None and not adapters.configs:
        parametrize.remove_parametrizations(layer.router, "weight", leave_parametrized=False)
    experts: nn.Module = layer.experts
    if isinstance(experts, LoRAExperts) and not experts.lora_up.configs and not experts.lora_down.configs:
        layer.experts = experts.plain()


def _of_block(number: str, block: nn.Module) -> Iterator[Site]:
    layer = block.feed_forward
    for prefix, owner in (("attention", block.attention), ("shared", getattr(layer, "shared", None))):
        for name, part in [] if owner is None else list(owner.named_children()):  # type: ignore[union-attr]
            if isinstance(part, LoRALinear):
                yield Site(number, f"{prefix}.{name}", part.weight, part.lora)
    if not isinstance(layer, MoELayer):
        return
    if (adapters := _router_adapters(layer)) is not None:
        yield Site(number, "router", _router_weight(layer), adapters)
    experts: nn.Module = layer.experts
    if isinstance(experts, LoRAExperts):
        yield Site(number, "experts.up", experts.up, experts.lora_up)
        yield Site(number, "experts.down", experts.down, experts.lora_down)


def _open_linear(owner: nn.Module, name: str, matrix: str) -> tuple[Adapters, Tensor, str]:
    part = getattr(owner, name)
    if isinstance(part, nn.Linear):
        part = LoRALinear(part)
        setattr(owner, name, part)
    if not isinstance(part, LoRALinear):
        raise MoEError.of(matrix, type(part).__name__, "can't be adapted", "apply LoRA before anything else")
    return part.lora, part.weight, matrix


def _open_experts(layer: MoELayer, which: str, matrix: str) -> tuple[Adapters, Tensor, str]:
    part: nn.Module = layer.experts
    if type(part) is Experts:
        part = LoRAExperts(part)
        layer.experts = part  # type: ignore[assignment]
    if not isinstance(part, LoRAExperts):
        remedy = "apply LoRA to the model as loaded, before sharing, packing or offloading its experts"
        raise MoEError.of(matrix, type(part).__name__, "can't be adapted", remedy)
    adapters = part.lora_up if which == "up" else part.lora_down
    return adapters, getattr(part, which), matrix


def _open_router(layer: MoELayer) -> tuple[Adapters, Tensor, str]:
    router = layer.router
    adapters = _router_adapters(layer)
    if adapters is None:
        weight = getattr(router, "weight", None)
        if not isinstance(weight, nn.Parameter):
            remedy = 'leave "router" out of the targets'
            raise MoEError.of("router", layer.config.router, "has no matrix to adapt", remedy)
        adapters = Adapters(weight.shape)
        wanted = weight.requires_grad
        # unsafe: the sum is fp32 beside a bf16 weight, as routers read it
        parametrize.register_parametrization(router, "weight", adapters, unsafe=True)
        _router_weight(layer).requires_grad_(wanted)
    return adapters, _router_weight(layer), "router"


def _router_weight(layer: MoELayer) -> Tensor:
    weight: Tensor = layer.router.parametrizations.weight.original  # type: ignore[union-attr,assignment]
    return weight


def _router_adapters(layer: MoELayer) -> Adapters | None:
    if not parametrize.is_parametrized(layer.router, "weight"):
        return None
    first = layer.router.parametrizations.weight[0]  # type: ignore[index,union-attr]
    return first if isinstance(first, Adapters) else None
