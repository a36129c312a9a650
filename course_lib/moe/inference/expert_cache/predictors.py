"""Guesses of the experts that the next layer will want, made while this layer still works."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.moe.errors import MoEError
from course_lib.moe.inference.expert_cache.cache import ExpertCache
from course_lib.moe.layer import MoELayer
from course_lib.moe.routing import Routing

FEW_TOKENS = 4  # more tokens want most experts anyway
Guess = Callable[[Tensor, Routing], list[int]]


class ByNextRouter:
    """The next layer's router on this layer's router input: the residual stream changes little from layer to layer.

    Source: Eliseev & Mazur 2023 (arXiv:2312.17238) section 3.2.
    """

    def __init__(self, following: MoELayer) -> None:
        self._following = following

    def __call__(self, x: Tensor, routing: Routing) -> list[int]:
        """Experts that the next layer would choose for these hidden states (tokens, hidden)."""
        router = self._following.router
        guess: Routing = type(router).forward(router, x)
        return sorted(set(guess.experts.flatten().tolist()))


class ByCoactivation:
    """The experts that most often followed those of this layer, counted as the text goes by.

    Source: the expert-activation traces of Xue et al. 2024 (arXiv:2401.14361, MoE-Infinity), here for one layer ahead.
    """

    def __init__(self, layer: MoELayer, following: MoELayer) -> None:
        self._k = following.config.experts_per_token
        experts = layer.config.experts, following.config.experts
        self._counts = torch.zeros(experts, device="cpu")  # (experts, experts of the next)
        self._before: Tensor | None = None  # (tokens, k) of this layer, until the next has chosen

    def __call__(self, x: Tensor, routing: Routing) -> list[int]:
        """The k most frequent followers of the chosen experts."""
        self._before = routing.experts
        scores = self._counts[routing.experts.flatten().cpu()].sum(0)  # (experts of the next,)
        return scores.topk(self._k).indices.tolist() if bool(scores.any()) else []

    def learn(self, routing: Routing) -> None:
        """Count what the next layer did choose."""
        if self._before is not None and len(self._before) == len(routing.experts):
            for before, after in zip(self._before.tolist(), routing.experts.tolist(), strict=True):
                for expert in before:
                    self._counts[expert, after] += 1
        self._before = None


PREDICTORS = ("router", "coactivation")


def connect(layers: Sequence[MoELayer], numbers: Sequence[int], cache: ExpertCache, predictor: str) -> list[Any]:
    """Let each layer's choice start the reading of the next layer's experts.

    Args:
        layers: the mixtures from input to output.
        numbers: under which the cache knows them.
        cache: with a thread.
        predictor: one of `PREDICTORS`.

    Returns:
        Handles that undo it.

    Raises:
        MoEError: for an unknown predictor.
    """
    if predictor not in PREDICTORS:
        raise MoEError.of("prefetch", predictor, "is not known", f"use one of {', '.join(PREDICTORS)}, or None")
    handles = []
    for layer, following, number in zip(layers, layers[1:], numbers[1:], strict=False):
        if predictor == "router":
            handles.append(layer.router.register_forward_hook(_guessing(ByNextRouter(following), number, cache)))
        else:
            guess = ByCoactivation(layer, following)
            handles.append(layer.router.register_forward_hook(_guessing(guess, number, cache)))
            handles.append(following.router.register_forward_hook(_learning(guess)))
    return handles


def _guessing(guess: Guess, number: int, cache: ExpertCache) -> Callable[..., None]:
    def after(router: nn.Module, inputs: tuple[Any, ...], routing: Routing) -> None:
        if len(inputs[0]) <= FEW_TOKENS:
            cache.predict(number, guess(inputs[0], routing))

    return after


def _learning(guess: ByCoactivation) -> Callable[..., None]:
    def after(router: nn.Module, inputs: tuple[Any, ...], routing: Routing) -> None:
        guess.learn(routing)

    return after
