"""How a recipe tuned at one batch size carries over to another: learning rate, warm-up, betas and steps.

Three published rules for three optimizers. All hold the number of training examples fixed, so that steps shrink as the
batch grows, and all end somewhere: past the critical batch size a larger batch buys nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from course_lib.distributed.errors import (
    TrainingSetupError,
    check_count,
    check_decay_rate,
    check_not_negative,
    check_positive,
)

Rule = Literal["sgd", "lamb", "adam"]
RULES: tuple[Rule, ...] = ("sgd", "lamb", "adam")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What depends on the batch size.

    Args:
        batch: examples (or tokens) per optimizer step, all ranks together.
        learning_rate: at the peak.
        steps: optimizer steps of the run.
        warmup_steps: how many of them warm up.
        betas: Adam's or LAMB's; momentum SGD has (momentum, 0).
        eps: added to the root of the second moment.

    Raises:
        TrainingSetupError: for a number out of range.
    """

    batch: int
    learning_rate: float
    steps: int
    warmup_steps: int = 0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        check_count("batch", self.batch)
        check_count("steps", self.steps)
        check_count("warmup_steps", self.warmup_steps, minimum=0)
        check_positive("learning_rate", self.learning_rate)
        check_not_negative("eps", self.eps)
        for beta in self.betas:
            check_decay_rate("betas", beta)
        if self.warmup_steps > self.steps:
            raise TrainingSetupError.of(
                "warmup_steps", self.warmup_steps, f"is more than the {self.steps} steps of the run", "shorten it"
            )

    @property
    def examples(self) -> int:
        """Examples of the whole run."""
        return self.batch * self.steps


def scale_recipe(recipe: Recipe, batch: int, rule: Rule) -> Recipe:
    """The recipe for another batch size; k is the new batch over the old one.

    Args:
        recipe: tuned at `recipe.batch`.
        batch: examples (or tokens) per step wanted.
        rule: "sgd": rate times k, warm-up for as many examples as before, momentum as it is. "lamb": rate times
            sqrt(k), warm-up for as many steps as before. "adam": rate times sqrt(k), warm-up for as many examples as
            before, 1 - beta times k, eps over sqrt(k).

    Returns:
        A recipe over the same number of examples, to the nearest step.

    Raises:
        TrainingSetupError: for an unknown rule; for "adam", when the batch is so large that a beta would leave [0, 1);
            for "lamb", when the run would end before its warm-up does.

    Source: "sgd": Goyal et al. 2017 (arXiv:1706.02677) sections 2.1 and 2.2; Krizhevsky 2014 (arXiv:1404.5997) section
        5 found it better in practice than the square root that theory suggests. "lamb": You et al. 2019
        (arXiv:1904.00962) section 4, BERT without tuning. "adam": Malladi et al. 2022 (arXiv:2205.10287), the square
        root scaling rule.
    """
    check_count("batch", batch)
    if rule not in RULES:
        raise TrainingSetupError.of("rule", rule, "is not known", f"use one of {', '.join(RULES)}")
    k = batch / recipe.batch
    steps = max(1, round(recipe.steps / k))
    fewer = round(recipe.warmup_steps / k)
    if rule == "sgd":
        return replace(
            recipe, batch=batch, steps=steps, warmup_steps=fewer, learning_rate=scale_rate(recipe.learning_rate, k)
        )
    rate = scale_rate(recipe.learning_rate, k, "sqrt")
    if rule == "lamb":
        if recipe.warmup_steps > steps:
            raise TrainingSetupError.of(
                "batch",
                batch,
                f"leaves {steps} steps for {recipe.warmup_steps} of warm-up",
                f"use at most {recipe.examples // max(1, recipe.warmup_steps)}",
            )
        return replace(recipe, batch=batch, steps=steps, learning_rate=rate)
    fastest = min(recipe.betas)
    if k * (1 - fastest) > 1 + 1e-12:
        raise TrainingSetupError.of(
            "batch",
            batch,
            f"is {k:g} times {recipe.batch}, and 1 - {k:g} (1 - {fastest:g}) is below 0: a moment would have to forget "
            "within less than one step",
            f"use at most {math.floor(recipe.batch / (1 - fastest) * (1 + 1e-12))}",
        )
    slower = tuple(max(0.0, 1 - k * (1 - beta)) for beta in recipe.betas)
    return replace(
        recipe,
        batch=batch,
        steps=steps,
        warmup_steps=min(fewer, steps),
        learning_rate=rate,
        betas=(slower[0], slower[1]),
        eps=recipe.eps / math.sqrt(k),
    )


def scale_rate(learning_rate: float, k: float, rule: Literal["linear", "sqrt"] = "linear") -> float:
    """A learning rate for a batch k times as large.

    Args:
        learning_rate: at the old batch.
        k: new batch over old batch.
        rule: "linear" keeps lr / batch, "sqrt" keeps lr / sqrt(batch).

    Returns:
        The rate at the new batch.

    Raises:
        TrainingSetupError: for a number out of range or an unknown rule.

    Source: Goyal et al. 2017 (arXiv:1706.02677) for "linear"; Krizhevsky 2014 (arXiv:1404.5997) for both: with the
        square root the variance of a step's noise stays as it was.
    """
    check_positive("learning_rate", learning_rate)
    check_positive("k", k)
    if rule not in ("linear", "sqrt"):
        raise TrainingSetupError.of("rule", rule, "is not known", "use 'linear' or 'sqrt'")
    return learning_rate * (k if rule == "linear" else math.sqrt(k))
