"""How the next token is drawn from a model's logits: the largest, or a seeded draw from a narrowed distribution."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib.moe.errors import MoEError, check_count, check_not_negative

SEEDS = 2**64  # of PyTorch's generators
COLDEST = torch.finfo(torch.float32).tiny  # logits are divided in fp32, where less would be 0


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """One request's way of choosing tokens.

    Args:
        temperature: logits are divided by it; 0 takes the largest logit (greedy).
        top_k: only so many of the likeliest tokens are drawn from; 0 for all.
        top_p: only the likeliest tokens whose probabilities reach this sum are drawn from; 1 for all.
        seed: of the request's own generator, so that its text does not depend on its neighbors in a batch.
        stop: tokens after which the text ends.

    Raises:
        MoEError: for a number out of its range.

    Source: Fan et al. 2018 (arXiv:1805.04833) for top-k; Holtzman et al. 2019 (arXiv:1904.09751) for top-p.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_not_negative("temperature", self.temperature, "give 0.0 for greedy, or one such as 0.8")
        check_count("top_k", self.top_k, minimum=0)
        check_count("seed", self.seed, minimum=0)
        if self.seed >= SEEDS:
            raise MoEError.of("seed", self.seed, f"must be below {SEEDS}", "give one such as 0")
        given: object = self.stop
        if not isinstance(given, tuple) or not all(isinstance(token, int) for token in self.stop):
            raise MoEError.of("stop", given, "must be a tuple of token ids", "give one such as (0,)")
        if isinstance(self.top_p, bool) or not isinstance(self.top_p, int | float) or not 0 < self.top_p <= 1:
            raise MoEError.of("top_p", self.top_p, "must be above 0 and at most 1", "give 1.0 for all tokens")

    def generator(self) -> torch.Generator:
        """A generator at the start of the request's draws; a CPU's, so that a seed means the same on every device."""
        return torch.Generator().manual_seed(self.seed)


def filtered(logits: Tensor, sampling: Sampling) -> Tensor:
    """Logits divided by the temperature, -inf where top-k or top-p leaves a token out.

    Args:
        logits: (..., vocab) of any floating type.
        sampling: with a temperature above 0.

    Returns:
        (..., vocab) of fp32. The likeliest token always stays.
    """
    kept = logits.float() / sampling.temperature  # (..., vocab)
    if 0 < sampling.top_k < kept.shape[-1]:
        least = kept.topk(sampling.top_k, dim=-1).values[..., -1:]  # (..., 1)
        kept = kept.masked_fill(kept < least, -torch.inf)
    if sampling.top_p < 1:
        ordered, order = kept.sort(descending=True, dim=-1)
        probabilities = ordered.softmax(-1)
        # What lies before a token decides: the token that crosses the bound still belongs to the nucleus.
        before = probabilities.cumsum(-1) - probabilities  # (..., vocab)
        beyond = (before >= sampling.top_p) & (before > 0)  # a tiny bound is 0 in fp32, and the likeliest stays
        kept = kept.masked_fill(beyond.scatter(-1, order, beyond), -torch.inf)
    return kept


def draw(logits: Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """The next token.

    Args:
        logits: (vocab,).
        sampling: how.
        generator: the request's own; not used when greedy.

    Raises:
        MoEError: when the logits are not finite.
    """
    check_finite(logits)
    if sampling.temperature < COLDEST:
        return int(logits.argmax())
    # The largest moved to 0, which changes no probability: divided by a small temperature, it would be infinite.
    moved = logits.float() - logits.float().max()  # (vocab,)
    probabilities = filtered(moved, sampling).softmax(-1)  # (vocab,)
    return int(torch.multinomial(probabilities.cpu(), 1, generator=generator))


def check_finite(logits: Tensor) -> None:
    """Raise `MoEError` for logits of which some are not finite."""
    bad = int((~torch.isfinite(logits)).sum())
    if bad:
        raise MoEError.of("logits", f"{bad} not finite", "can't be drawn from", "look for NaN or inf in the weights")
