"""What all routers with a matrix share: scores in fp32, whatever the model's type, and a refusal of what is no score.

A score in bf16 has 8 bits, so that experts tie and the choice depends on rounding. Switch (arXiv:2101.03961, section
2.4) calls the remedy selective precision.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError


@dataclass
class Place:
    """Where a router stands, for its error messages; None where nobody has said.

    Args:
        layer: number of its layer.
        step: optimizer steps taken so far.
    """

    layer: int | None = None
    step: int | None = None

    def __str__(self) -> str:
        known = [f"{name} {value}" for name, value in (("layer", self.layer), ("step", self.step)) if value is not None]
        return f" in {', '.join(known)}" if known else ""


class Scored(nn.Module):
    """What is the same in every router with a matrix.

    Args:
        config: of the layer.
        place: of the layer, for error messages.
    """

    def __init__(self, config: MoEConfig, place: Place | None = None) -> None:
        super().__init__()
        self.config, self.place = config, place or Place()
        self.weight = expert_matrix(config)

    def scored(self, x: Tensor) -> Tensor:
        """(tokens, hidden) -> (tokens, experts), with the config's jitter while training; raises as `scores`."""
        return scores(self.jittered(x), self.weight, self.place)

    def jittered(self, x: Tensor) -> Tensor:
        """x with the config's jitter while training."""
        return jittered(x, self.config.jitter if self.training else 0)


def expert_matrix(config: MoEConfig) -> nn.Parameter:
    """(experts, hidden), one row of scores for each expert."""
    weight = nn.Parameter(torch.empty(config.experts, config.hidden_size))
    nn.init.normal_(weight, std=0.02)
    return weight


def jittered(x: Tensor, amount: float) -> Tensor:
    """x times uniform noise from [1 - amount, 1 + amount], drawn from PyTorch's global generator.

    Source: Fedus et al. 2021 (arXiv:2101.03961) section 2.4.
    """
    return x if not amount else x.float() * (1 + amount * (2 * torch.rand_like(x, dtype=torch.float32) - 1))


def scores(x: Tensor, weight: Tensor, place: Place) -> Tensor:
    """x weight^T in fp32, also under autocast.

    Args:
        x: (tokens, hidden), of any floating type.
        weight: (experts, hidden).
        place: of the router.

    Returns:
        (tokens, experts), fp32.

    Raises:
        MoEError: for x of another shape or type, or scores that are not finite. Compiled code leaves the last check
            out: it would have to wait for the values.
    """
    if not x.is_floating_point():
        raise MoEError.of("x", x.dtype, "must be a floating type", "give hidden states, x.float()")
    if x.dim() != 2 or x.shape[1] != weight.shape[1]:
        raise MoEError.of("x", tuple(x.shape), f"must be (tokens, {weight.shape[1]})", "match hidden_size")
    with torch.autocast(x.device.type, enabled=False):
        logits = F.linear(x.float(), weight.float())
    if not torch.compiler.is_compiling() and not bool(logits.isfinite().all()):
        refuse_not_finite(logits, x, weight, place)
    return logits


def refuse_not_finite(logits: Tensor, x: Tensor, weight: Tensor, place: Place) -> None:
    """Raise `MoEError` that says which router logits are not finite, and whether x or the matrix brought it in."""
    bad = (~logits.isfinite()).nonzero()
    token, expert = (int(i) for i in bad[0])
    given = {"x": x, "the router's matrix": weight}
    sources = [name for name, tensor in given.items() if not bool(tensor.isfinite().all())]
    cause = (
        f"nan or inf is in {' and '.join(sources)} already" if sources else "x or the matrix is finite, but too large"
    )
    raise MoEError.of(
        f"router logits{place}, token {token}, expert {expert}",
        float(logits.detach()[token, expert]),
        f"must be finite, as {len(bad)} of {logits.numel()} are not",
        f"{cause}; lower the learning rate, clip gradients, or add z_loss",
    )
