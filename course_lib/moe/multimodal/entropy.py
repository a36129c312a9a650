"""LIMoE's losses: within one modality each token should be sure of its experts, and all tokens together use several."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from course_lib.moe.errors import MoEError, check_not_negative

SMALLEST = 1e-30  # below it p log p counts as 0, and so does its gradient


@dataclass(frozen=True, kw_only=True)
class EntropyLoss:
    """The losses of one modality.

    Args:
        local: coefficient of the local entropy.
        global_: coefficient of the global entropy.
        at_least: the "soft minimum" S: the global loss is 0 once the modality's mean probabilities have the entropy of
            S equally used experts. 0 sets no such limit: the loss then goes on to -log(experts).

    Raises:
        MoEError: for a negative number, or S between 0 and 1.
    """

    local: float = 0.0
    global_: float = 0.0
    at_least: float = 0.0

    def __post_init__(self) -> None:
        for name in ("local", "global_", "at_least"):
            check_not_negative(name, getattr(self, name), "give 0.0 for none, or one such as 0.04")
        if 0 < self.at_least < 1:
            raise MoEError.of("at_least", self.at_least, "is less than one expert", "give one such as 4, or 0")

    def of(self, probabilities: Tensor) -> Tensor:
        """Both losses of (tokens, experts) of one modality, each times its coefficient: a scalar, 0 for no tokens."""
        if not len(probabilities):
            return probabilities.sum() * 0
        return self.local * local_entropy(probabilities) + self.global_ * global_entropy(probabilities, self.at_least)


def local_entropy(probabilities: Tensor) -> Tensor:
    """Mean over tokens of the entropy of their probabilities, in nats: small where each token is sure.

    Args:
        probabilities: (tokens, experts) of one modality, at least one token; carries gradient.

    Returns:
        A scalar.

    Source: Mustafa et al. 2022 (arXiv:2206.02770), the local entropy loss.
    """
    return entropy(probabilities).mean()


def global_entropy(probabilities: Tensor, at_least: float = 0.0) -> Tensor:
    """Minus the entropy of the mean probabilities, in nats: small where the tokens together use many experts.

    Args:
        probabilities: (tokens, experts) of one modality, at least one token; carries gradient.
        at_least: the soft minimum S; 0 for none.

    Returns:
        -H(mean p), or max(0, log S - H(mean p)); a scalar.

    Source: Mustafa et al. 2022 (arXiv:2206.02770), the global entropy loss and its threshold tau = log S.
    """
    negative = -entropy(probabilities.mean(0))
    return (negative + math.log(at_least)).clamp(min=0) if at_least else negative


def entropy(probabilities: Tensor) -> Tensor:
    """-sum p log p over the last dimension, in nats; its gradient is finite where p is 0."""
    return -(probabilities * probabilities.clamp(min=SMALLEST).log()).sum(-1)
