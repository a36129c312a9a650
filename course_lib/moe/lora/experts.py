"""Experts beside which adapters run, each expert's own, inside the grouped matmuls.

The adapted weights of all experts together never exist: two thin grouped matmuls run beside each wide one. Wrapping the
parameter, as peft's `target_parameters` does, makes them in every forward pass.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.moe.activations import nonlinear
from course_lib.moe.experts import Experts
from course_lib.moe.grouped import experts_by_group, mixture_by_group
from course_lib.moe.loop import experts_by_loop, mixture_by_loop
from course_lib.moe.lora.adapters import Adapters, Factors

PerExpert = Callable[[Tensor, Tensor, Tensor], Tensor]
ALIGNMENT = 16  # bytes


class LoRAExperts(nn.Module):
    """`Experts` with adapters; the base's parameters keep their names.

    Args:
        base: the experts as they were; their parameters are shared.
    """

    def __init__(self, base: Experts) -> None:
        super().__init__()
        self.config = base.config
        self.up, self.down = base.up, base.down
        self.lora_up, self.lora_down = Adapters(base.up.shape), Adapters(base.down.shape)
        self._base = [base]  # in a list, so that it is no part of this module's state

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """(slots, hidden) sorted by expert, (experts,) rows of each -> (slots, hidden)."""
        up, down = self.lora_up.factors(), self.lora_down.factors()
        grouped, act = self.config.execution == "grouped", self.config.activation
        if up is None and down is None:
            run = experts_by_group if grouped else experts_by_loop
            return run(x, counts, self.up, self.down, activation=act, gated=self.config.gated)
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        multiply = _by_group if grouped and self._rows_are_aligned(x) else _by_loop
        projected = _adapted(x, counts, self.up, up, multiply)  # (slots, 2 inner) or (slots, inner)
        inner = nonlinear(projected, act, self.config.gated)  # (slots, inner)
        return _adapted(inner, counts, self.down, down, multiply)

    @property
    def idle(self) -> bool:
        """Whether no adapter runs beside the weights: none in use, or it is merged."""
        return self.lora_up.factors() is None and self.lora_down.factors() is None

    def mixture(self, x: Tensor, experts: Tensor, weights: Tensor) -> Tensor:
        """`Experts.mixture`, for while no adapter runs: the same call gives the same bits, and takes the same time."""
        run = mixture_by_group if self.config.execution == "grouped" else mixture_by_loop
        act, gated = self.config.activation, self.config.gated
        return run(x, experts, weights, self.up, self.down, activation=act, gated=gated)

    def _rows_are_aligned(self, x: Tensor) -> bool:
        """Whether all rows are of whole 16 bytes, as a grouped matmul needs them."""
        return all(weight.shape[-1] * x.element_size() % ALIGNMENT == 0 for weight in (self.up, self.down))

    def matrices(self, expert: int) -> tuple[Tensor, Tensor]:
        """One expert's `up` and `down` as adapted, for decoding, which reads only the chosen ones."""
        return _matrix(self.up[expert], self.lora_up, expert), _matrix(self.down[expert], self.lora_down, expert)

    def plain(self) -> Experts:
        """The experts without adapters, with this one's parameters."""
        base = self._base[0]
        base.up, base.down = self.up, self.down
        return base


def _by_group(x: Tensor, counts: Tensor, weight: Tensor) -> Tensor:
    """(slots, in) sorted by expert, (experts,), (experts, out, in) -> (slots, out)."""
    return F.grouped_mm(x, weight.to(x.dtype).transpose(1, 2), offs=counts.cumsum(0).int())


def _by_loop(x: Tensor, counts: Tensor, weight: Tensor) -> Tensor:
    """`_by_group`, expert by expert."""
    parts = zip(torch.split(x, counts.tolist()), weight.to(x.dtype), strict=True)
    return torch.cat([F.linear(rows, of_expert) for rows, of_expert in parts])


def _adapted(x: Tensor, counts: Tensor, weight: Tensor, factors: Factors | None, multiply: PerExpert) -> Tensor:
    """(slots, in) -> (slots, out)."""
    out = multiply(x, counts, weight)
    if factors is None:
        return out
    more = -factors.a.shape[1] % max(1, ALIGNMENT // x.element_size())  # rows of zeros for ranks such as 3
    a = F.pad(factors.a, (0, 0, 0, more))  # (experts, rank, in)
    b = F.pad(factors.b, (0, more))  # (experts, out, rank)
    return out + factors.scale * multiply(multiply(x, counts, a), counts, b)  # (slots, rank) in between


def _matrix(weight: Tensor, adapters: Adapters, expert: int) -> Tensor:
    factors = adapters.factors()
    if factors is None:
        return weight
    one = Factors(factors.a[expert], factors.b[expert], factors.scale)
    return (weight.to(one.a.dtype) + one.product()).to(weight.dtype)
