"""How good a language model is on text that it has not seen, and how its experts share that text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.moe.balance import load_variation
from course_lib.moe.corpus import Windows
from course_lib.moe.errors import check_count
from course_lib.moe.model import moe_layers
from course_lib.moe.routing import Routing


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One model on one set of windows.

    Args:
        nats: (domains,) of fp64, summed cross-entropy of each domain's tokens.
        tokens: (domains,) of int64, predicted tokens.
        loads: (layers, domains, experts) of int64: how often each expert of each mixture worked on a token of each
            domain; no layers for a dense model.
    """

    nats: Tensor
    tokens: Tensor
    loads: Tensor

    @property
    def loss(self) -> float:
        """Mean cross-entropy, nats per token; nothing else is in it."""
        return float(self.nats.sum() / self.tokens.sum())

    @property
    def perplexity(self) -> float:
        """exp(loss); infinite where that is more than a float holds."""
        return _exp(self.loss)

    @property
    def domain_perplexities(self) -> list[float]:
        """The perplexity of each domain's tokens alone; NaN for a domain without any."""
        return [_exp(value) for value in (self.nats / self.tokens).tolist()]

    @property
    def load_variations(self) -> list[float]:
        """Coefficient of variation of the experts' loads in each mixture, from input to output."""
        return [load_variation(load) for load in self.loads.sum(1)]


def evaluate(model: nn.Module, windows: Windows, *, batch: int = 32) -> Evaluation:
    """Run a model over all windows without training it.

    Args:
        model: tokens (windows, seq) → logits (windows, seq, vocab); of a sharded one, every rank must call this alike.
        windows: of `Corpus.windows`.
        batch: windows that go through the model at once; no result but that of a router which sees a whole batch
            depends on it.

    Returns:
        Losses and loads by domain.

    Raises:
        MoEError: when batch is not at least 1.

    Source: Jelinek et al. 1977 for perplexity, exp of the mean cross-entropy in nats.
    """
    check_count("batch", batch)
    domains = int(windows.domains.max()) + 1
    nats, tokens = torch.zeros(domains, dtype=torch.float64), torch.zeros(domains, dtype=torch.int64)
    layers = moe_layers(model)
    loads: list[Tensor] = []
    device = next(model.parameters()).device
    with evaluating(model):
        for piece, domain in windows.batches(batch):
            logits = model(piece.tokens.to(device))  # (batch, seq, vocab)
            each = F.cross_entropy(logits.flatten(0, 1).float(), piece.targets.to(device).flatten(), reduction="none")
            owner = domain.repeat_interleave(piece.tokens.shape[1])  # (batch * seq,)
            nats.index_add_(0, owner, each.cpu().double())
            tokens += owner.bincount(minlength=domains)
            counted = [loads_by_domain(layer.last_routing, owner, domains) for layer in layers if layer.last_routing]
            loads.append(torch.stack(counted) if counted else torch.zeros(0, domains, 0, dtype=torch.int64))
    return Evaluation(nats, tokens, torch.stack(loads).sum(0))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards a model that was training is training again."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def loads_by_domain(routing: Routing, owner: Tensor, domains: int) -> Tensor:
    """How often each expert works on each domain's tokens.

    Args:
        routing: of one layer.
        owner: (tokens,) of int64, each token's domain.
        domains: how many there are.

    Returns:
        (domains, experts) of int64.
    """
    experts = routing.probabilities.shape[1]
    chosen = routing.experts.cpu()  # (tokens, k), -1 for a pair that found no room
    place = owner[:, None] * experts + chosen  # (tokens, k)
    return place[chosen >= 0].bincount(minlength=domains * experts).reshape(domains, experts)


def _exp(nats: float) -> float:
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf
