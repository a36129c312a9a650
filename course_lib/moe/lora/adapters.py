"""The low-rank pairs that belong to one weight, by adapter name; one of them, or none, is in use."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_lib.moe.errors import MoEError
from course_lib.moe.lora.config import LoRAConfig


@dataclass(frozen=True)
class Factors:
    """What the adapter in use adds to a weight: scale * b a.

    Args:
        a: (..., rank, in), b: (..., out, rank); the leading axis, where there is one, is the experts'.
        scale: of the product.
    """

    a: Tensor
    b: Tensor
    scale: float

    def product(self) -> Tensor:
        """(..., out, in), of the factors' type."""
        return self.scale * (self.b @ self.a)

    def to(self, dtype: torch.dtype) -> Factors:
        """The same in another type."""
        return Factors(self.a.to(dtype), self.b.to(dtype), self.scale)


class Adapters(nn.Module):
    """The adapters of one weight.

    Args:
        shape: of the weight, (out, in) or (experts, out, in).

    Attributes:
        a, b: the factors by adapter name, (..., rank, in) and (..., out, rank), in fp32 at least.
        configs: of each adapter.
        active: the adapter in use, or None.
        base: a copy of the weight without it, while it is merged.
    """

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.shape = shape
        self.a, self.b = nn.ParameterDict(), nn.ParameterDict()
        self.configs: dict[str, LoRAConfig] = {}
        self.active: str | None = None
        self.base: Tensor | None = None

    def add(self, name: str, config: LoRAConfig, weight: Tensor, generator: torch.Generator) -> None:
        """Make an adapter: A uniform within 1 / sqrt(in), B 0, so that nothing changes at first.

        Source: He et al. 2015 (arXiv:1502.01852) with the gain that torch.nn.Linear and peft use.
        """
        *lead, out, width = self.shape
        dtype = torch.promote_types(weight.dtype, torch.float32)  # small steps would be lost in bf16
        a = torch.rand((*lead, config.rank, width), generator=generator) * 2 - 1  # (..., rank, in)
        self.a[name] = nn.Parameter((a * width**-0.5).to(weight.device, dtype))
        self.b[name] = nn.Parameter(torch.zeros((*lead, out, config.rank), device=weight.device, dtype=dtype))
        self.configs[name] = config

    def drop(self, name: str) -> None:
        """Forget an adapter."""
        del self.a[name], self.b[name], self.configs[name]
        self.active = None if self.active == name else self.active

    def factors(self) -> Factors | None:
        """Of the adapter in use; None without one, or while it is merged."""
        if self.active is None or self.base is not None:
            return None
        return self.stored(self.active)

    def stored(self, name: str) -> Factors:
        """Of any adapter."""
        return Factors(self.a[name], self.b[name], self.configs[name].scale)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight as adapted, in fp32: how a router, which computes in fp32, reads it."""
        factors = self.factors()
        return weight if factors is None else weight.to(factors.a.dtype) + factors.product()

    def merge(self, weight: Tensor) -> None:
        """Add the adapter in use to the weight in place, expert by expert, and keep a copy of the weight."""
        factors = self.factors()
        if factors is None:
            return
        self.base = weight.detach().clone()
        with torch.no_grad():
            for part, a, b in zip(*(_parts(t, len(self.shape)) for t in (weight, factors.a, factors.b)), strict=True):
                part.copy_(part.to(a.dtype) + factors.scale * (b @ a))

    def unmerge(self, weight: Tensor) -> None:
        """Put the copy back: subtracting would leave rounding errors."""
        if self.base is not None:
            with torch.no_grad():
                weight.copy_(self.base)
            self.base = None


def check_name(name: object) -> None:
    """Raise `MoEError` unless an adapter may be called so."""
    if not isinstance(name, str) or not name.isidentifier():
        raise MoEError.of("name", name, "must be letters, digits and _", "call it 'default'")


def _parts(tensor: Tensor, dims: int) -> tuple[Tensor, ...]:
    return tensor.unbind(0) if dims == 3 else (tensor,)
