"""Experts for a handful of tokens: only the matrices that a token chose are read, and none is copied.

A decoding step is bound by the bytes of weights that it reads. A grouped matmul visits all experts, a gather copies the
chosen ones first; this walks over the chosen ones in place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.moe.activations import nonlinear
from course_lib.moe.config import MoEConfig
from course_lib.moe.experts import Experts
from course_lib.moe.layer import MoELayer
from course_lib.moe.routing import Routing

FEW = 4  # rows per expert up to which a walk over the chosen experts beats grouped matmuls


class ExpertSource(Protocol):
    """Anything that hands out one expert's matrices: held in memory, packed in few bits, or on disk."""

    config: MoEConfig

    def matrices(self, expert: int) -> tuple[Tensor, Tensor]:
        """`up` (2 inner or inner, hidden) and `down` (hidden, inner) of one expert."""
        ...


class _Held:
    """`Experts` as a source."""

    def __init__(self, experts: Experts) -> None:
        self.config, self._up, self._down = experts.config, experts.up, experts.down

    def matrices(self, expert: int) -> tuple[Tensor, Tensor]:
        return self._up[expert], self._down[expert]


def run_source(source: ExpertSource, x: Tensor, counts: Tensor) -> Tensor:
    """`run_chosen` with a source's matrices."""
    return run_chosen(lambda e, rows: apply_expert(rows, *source.matrices(e), source.config), x, counts)


def run_chosen(run: Callable[[int, Tensor], Tensor], x: Tensor, counts: Tensor) -> Tensor:
    """Each expert's rows through that expert, past those that have none.

    Args:
        run: an expert's number and its rows (rows, hidden) -> (rows, hidden).
        x: (slots, hidden), sorted by expert.
        counts: (experts,), rows of each.

    Returns:
        (slots, hidden).
    """
    out = torch.empty_like(x)
    start = 0
    for expert, count in enumerate(counts.tolist()):
        if count:
            rows = slice(start, start + count)
            out[rows] = run(expert, x[rows])
            start += count
    return out


def apply_expert(x: Tensor, up: Tensor, down: Tensor, config: MoEConfig) -> Tensor:
    """One expert: (rows, hidden) -> (rows, hidden)."""
    return F.linear(nonlinear(F.linear(x, up), config.activation, config.gated), down)


def combine(pairs: Sequence[tuple[Tensor, Tensor]], x: Tensor, weights: Tensor, config: MoEConfig) -> Tensor:
    """One token through its experts.

    Args:
        pairs: `up` and `down` of each.
        x: (1, hidden).
        weights: (k,).
        config: of the layer.

    Returns:
        (1, hidden), the weighted sum.
    """
    projected = torch.cat([F.linear(x, up) for up, _ in pairs])  # (k, 2 inner) or (k, inner)
    inner = nonlinear(projected, config.activation, config.gated)  # (k, inner)
    inner = inner * weights[:, None].to(inner.dtype)
    out = torch.zeros_like(x)
    for i, (_, down) in enumerate(pairs):
        out = torch.addmm(out, inner[i : i + 1], down.T)
    return out


def mix(layer: MoELayer, x: Tensor, ids: Tensor, experts_per_token: int | None = None) -> Tensor:
    """`MoELayer.forward` for inference.

    Args:
        layer: whose experts are `Experts`, a source, or another module that takes (slots, hidden) and counts.
        x: (sequences, new, hidden).
        ids: (sequences, new), the tokens.
        experts_per_token: use only so many of each token's experts; None for all.

    Returns:
        (sequences, new, hidden).
    """
    tokens = x.flatten(0, 1)  # (tokens, hidden)
    routing: Routing = layer.router(tokens, ids.flatten())
    layer.last_choice = layer.last_routing = routing
    if experts_per_token is not None:
        routing = fewer(routing, experts_per_token)
    out = _routed(layer, tokens, routing)
    if layer.shared is not None:
        out = out + layer.shared(tokens)
    return out.view(x.shape)


def _routed(layer: MoELayer, tokens: Tensor, routing: Routing) -> Tensor:
    experts: nn.Module = layer.experts
    held = type(experts) is Experts
    if len(tokens) == 1:
        chosen = routing.experts[0].tolist()
        if hasattr(experts, "one_token"):  # on disk
            one: Tensor = experts.one_token(tokens, chosen, routing.weights[0])  # type: ignore[operator]
            return one
        if held or hasattr(experts, "matrices"):
            source: ExpertSource = _Held(layer.experts) if held else experts  # type: ignore[assignment]
            pairs = [source.matrices(expert) for expert in chosen]
            return combine(pairs, tokens, routing.weights[0], layer.config)
    if not held or len(tokens) * routing.experts.shape[1] > FEW * layer.config.experts:
        return layer.routed(tokens, routing)
    return routing.through(tokens, partial(run_source, _Held(layer.experts)))


def fewer(routing: Routing, k: int) -> Routing:
    """Each token's k weightiest experts, with the sum of all its weights, so that the output keeps its size."""
    weights, order = routing.weights.topk(min(k, routing.weights.shape[1]), dim=-1)  # (tokens, k)
    kept = weights.sum(-1, keepdim=True).clamp_min(torch.finfo(weights.dtype).tiny)
    scaled = weights * (routing.weights.sum(-1, keepdim=True) / kept)
    return Routing(routing.experts.gather(1, order), scaled, routing.probabilities, routing.logits)
