"""What is searched: lists of values, their combinations, and the run that each of these stands for."""

from __future__ import annotations

import dataclasses
import itertools
import random
from dataclasses import dataclass
from typing import Any

from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError, check_count
from course_lib.moe.training import MoETrainConfig


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One combination; see `MoEConfig` for what each means."""

    experts: int
    experts_per_token: int
    capacity_factor: float | None
    balance_loss: float


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """Values to combine, each with each.

    Args:
        experts, experts_per_token, capacity_factor, balance_loss: values to try.

    Raises:
        MoEError: for a list that is empty or holds a value twice.
    """

    experts: tuple[int, ...] = (4, 8, 16)
    experts_per_token: tuple[int, ...] = (1, 2)
    capacity_factor: tuple[float | None, ...] = (None,)
    balance_loss: tuple[float, ...] = (0.01,)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            values = getattr(self, field.name)
            if not isinstance(values, tuple) or not values or len(set(values)) < len(values):
                raise MoEError.of(field.name, values, "must be a tuple of different values", "give one such as (4, 8)")

    def settings(self) -> tuple[Setting, ...]:
        """All combinations, the last list's values changing fastest."""
        names = [field.name for field in dataclasses.fields(self)]
        combined = itertools.product(*(getattr(self, name) for name in names))
        return tuple(Setting(**dict(zip(names, values, strict=True))) for values in combined)

    def sample(self, trials: int | None, seed: int = 0) -> tuple[Setting, ...]:
        """So many different combinations by lot, in the order of `settings`; all when trials is None or exceeds them.

        Raises:
            MoEError: for a number of trials below 1.
        """
        settings = self.settings()
        if trials is None:
            return settings
        check_count("trials", trials)
        chosen = random.Random(seed).sample(range(len(settings)), min(trials, len(settings)))
        return tuple(settings[number] for number in sorted(chosen))


def with_setting(config: MoETrainConfig, setting: Setting) -> MoETrainConfig:
    """A run with one combination in the place of its own, at as many active parameters.

    The width of an expert follows from it: with E experts, k of them and s shared ones for a token, and m matrices of
    hidden size h in each, a layer has h E + (k + s) m h F active parameters, router included; F is rounded. More
    experts of the same k therefore cost nothing per token, and a larger k makes them smaller.

    A token's only expert is weighted by its probability as it is, whatever `normalize` and `softmax` say: scaled to sum
    to 1, one weight is always 1, no loss on the text reaches the router, and a search over k would compare k = 2 with a
    router that can't learn.

    Args:
        config: the run whose active parameters count.
        setting: the combination.

    Raises:
        MoEError: for a combination that makes no layer, such as more experts per token than experts, or leaves an
            expert no width.

    Source: Fedus et al. 2021 (arXiv:2101.03961) eq. 2 for the weight of a single expert.
    """
    model, moe = config.model, config.moe or MoEConfig.of(config.model)
    if setting.experts_per_token > setting.experts:
        raise MoEError.of(
            "experts_per_token", setting.experts_per_token, f"is more than the {setting.experts} experts", "use fewer"
        )
    for name in ("experts", "experts_per_token"):
        check_count(name, getattr(setting, name))
    if setting.experts_per_token == 1 and moe.router == "noisy_topk":
        raise MoEError.of(
            "experts_per_token",
            1,
            "gives a noisy_topk router the weight 1 for every token",
            "use 2, or router='switch'",
        )
    matrices = 3 if model.gated_ffn else 2
    before = (model.experts_per_token + model.shared_experts) * matrices * model.expert_hidden_size + model.experts
    visited = (setting.experts_per_token + model.shared_experts) * matrices
    width = round((before - setting.experts) / visited)
    if width < 1:
        raise MoEError.of(
            "experts", setting.experts, "make a router as large as all that a token may cost", "use fewer, or a wider h"
        )
    shape: dict[str, Any] = {
        "experts": setting.experts,
        "experts_per_token": setting.experts_per_token,
        "expert_hidden_size": width,
    }
    alone: dict[str, Any] = {"softmax": "before", "normalize": False} if setting.experts_per_token == 1 else {}
    layer = dataclasses.replace(
        moe, **shape, **alone, capacity_factor=setting.capacity_factor, balance_loss=setting.balance_loss
    )
    return dataclasses.replace(config, model=dataclasses.replace(model, **shape), moe=layer)
