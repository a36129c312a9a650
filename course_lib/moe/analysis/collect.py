"""Run a model over text and count who was sent where."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_lib.moe.corpus import Windows
from course_lib.moe.errors import MoEError, check_count
from course_lib.moe.evaluate import evaluating, loads_by_domain
from course_lib.moe.model import moe_layers
from course_lib.moe.routing import Routing


@dataclass(frozen=True, eq=False)
class RoutingCounts:
    """What every mixture of a model did with a text.

    Args:
        token_loads: (layers, vocabulary, experts) of int64, how often an expert worked on a token of this id.
        domain_loads: (layers, domains, experts) of int64, the same by the domain of the token's window.
        pairs: (layers, experts, experts) of int64, tokens that were sent to both; the diagonal holds the loads.
        steps: (layers - 1, experts, experts) of int64, first choice in one mixture against first choice in the next.
        entropy: (layers,) of fp64, mean entropy of the router's probabilities over the tokens, in nats.
        largest_logit: (layers,) of fp64, mean over the tokens of the largest absolute logit.
        tokens: of the text.
    """

    token_loads: Tensor
    domain_loads: Tensor
    pairs: Tensor
    steps: Tensor
    entropy: Tensor
    largest_logit: Tensor
    tokens: int

    @property
    def loads(self) -> Tensor:
        """(layers, experts) of int64: tokens of each expert."""
        return self.domain_loads.sum(1)


def collect(model: nn.Module, windows: Windows, *, batch: int = 32) -> RoutingCounts:
    """Count the routing of all windows, without training.

    Args:
        model: tokens (windows, seq) → logits, with at least one mixture.
        windows: of `Corpus.windows`.
        batch: windows that go through the model at once.

    Raises:
        MoEError: for a model without experts, layers with different numbers of experts, or no window.
    """
    check_count("batch", batch)
    layers = moe_layers(model)
    widths = sorted({layer.config.experts for layer in layers})
    if len(widths) != 1:
        told = "has no experts" if not widths else f"has layers of {widths} experts"
        raise MoEError.of("model", type(model).__name__, told, "give a model whose mixtures are all of one size")
    if not len(windows):
        raise MoEError.of("windows", 0, "are none", "take corpus.windows('validation', 64)")
    vocabulary = int(max(windows.tokens.max(), windows.targets.max())) + 1
    vocabulary = max(vocabulary, getattr(getattr(model, "config", None), "vocab_size", 0))
    domains = int(windows.domains.max()) + 1
    tally = _Tally(len(layers), vocabulary, domains, widths[0])
    device = next(model.parameters()).device
    with evaluating(model):
        for piece, domain in windows.batches(batch):
            model(piece.tokens.to(device))
            owner = domain.repeat_interleave(piece.tokens.shape[1])  # (tokens,)
            routings = [layer.last_routing for layer in layers if layer.last_routing is not None]
            tally.add(routings, piece.tokens.flatten(), owner)
    return tally.counts()


class _Tally:
    def __init__(self, layers: int, vocabulary: int, domains: int, experts: int) -> None:
        self.experts, self.tokens = experts, 0
        self.token_loads = torch.zeros(layers, vocabulary, experts, dtype=torch.int64)
        self.domain_loads = torch.zeros(layers, domains, experts, dtype=torch.int64)
        self.pairs = torch.zeros(layers, experts, experts, dtype=torch.int64)
        self.steps = torch.zeros(max(0, layers - 1), experts, experts, dtype=torch.int64)
        self.entropy = torch.zeros(layers, dtype=torch.float64)
        self.largest_logit = torch.zeros(layers, dtype=torch.float64)

    def add(self, routings: list[Routing], ids: Tensor, owner: Tensor) -> None:
        """One batch: each layer's routing, (tokens,) ids and (tokens,) domains."""
        self.tokens += len(ids)
        before: Tensor | None = None
        for number, routing in enumerate(routings):
            hit = _membership(routing, self.experts)  # (tokens, experts) of int64, 0 or 1
            self.token_loads[number].index_add_(0, ids, hit)
            self.domain_loads[number] += loads_by_domain(routing, owner, self.domain_loads.shape[1])
            self.pairs[number] += (hit.double().T @ hit.double()).long()
            p = routing.probabilities.cpu().double()
            self.entropy[number] += torch.special.entr(p).sum()
            self.largest_logit[number] += routing.logits.cpu().double().abs().amax(1).sum()
            first = p.argmax(1)  # (tokens,)
            if before is not None:
                place = before * self.experts + first
                counted = place.bincount(minlength=self.experts**2)
                self.steps[number - 1] += counted.reshape(self.experts, self.experts)
            before = first

    def counts(self) -> RoutingCounts:
        """All batches together."""
        return RoutingCounts(
            self.token_loads,
            self.domain_loads,
            self.pairs,
            self.steps,
            self.entropy / max(1, self.tokens),
            self.largest_logit / max(1, self.tokens),
            self.tokens,
        )


def _membership(routing: Routing, experts: int) -> Tensor:
    """(tokens, experts) of int64: 1 where a token was sent to an expert and found room."""
    chosen = routing.experts.cpu()  # (tokens, k), -1 for none
    marked = torch.zeros(len(chosen), experts + 1, dtype=torch.int64)
    return marked.scatter_(1, torch.where(chosen < 0, experts, chosen), 1)[:, :experts]
