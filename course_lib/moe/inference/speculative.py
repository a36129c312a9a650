"""Speculative decoding with the model as its own draft: few experts guess ahead, all experts check at once.

The draft is the same weights with one expert for each token instead of k. It reads the keys of checked tokens, and what
it wrote for its guesses is written again by the check: no second model, no second cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from course_lib.models import GPT
from course_lib.moe.errors import check_count
from course_lib.moe.inference.cache import PagedCache
from course_lib.moe.inference.forward import cached_forward, check_causal
from course_lib.moe.inference.requests import check_request
from course_lib.moe.inference.sampling import check_finite


@dataclass(frozen=True)
class Speculation:
    """A text and how it came about.

    Args:
        tokens: the new tokens, those of greedy decoding.
        drafted: guesses of the draft.
        accepted: of these, the ones that the full model would have made.
        checks: passes of the full model over new tokens, the prompt's pass not counted.
    """

    tokens: list[int]
    drafted: int
    accepted: int
    checks: int

    @property
    def acceptance(self) -> float:
        """Share of the guesses that were right; nan without any."""
        return self.accepted / self.drafted if self.drafted else float("nan")


def generate_speculatively(
    model: GPT,
    prompt_tokens: Sequence[int],
    max_new_tokens: int,
    *,
    draft_tokens: int = 4,
    draft_experts: int = 1,
    stop: Sequence[int] = (),
) -> Speculation:
    """Continue a prompt greedily; the tokens are those of `generate`.

    Args:
        model: set to evaluation mode.
        prompt_tokens: at least one.
        max_new_tokens: at most so many are made.
        draft_tokens: guesses between two checks.
        draft_experts: experts per token of the draft.
        stop: tokens after which the text ends.

    Returns:
        The tokens, and how many guesses were right.

    Raises:
        MoEError: for a request that `generate` refuses, numbers below 1, or logits that are not finite.

    Source: Leviathan et al. 2023 (arXiv:2211.17192) for the check, here with probabilities 0 and 1; Zhang et al. 2023
        (arXiv:2309.08168) for a draft that is a part of the model itself.
    """
    check_count("draft_tokens", draft_tokens)
    check_count("draft_experts", draft_experts)
    check_request(model.config, prompt_tokens, max_new_tokens)
    check_causal(model.eval())
    total = len(prompt_tokens) + max_new_tokens
    cache = PagedCache.of(model, tokens=total)
    handle = cache.open(total)
    prompt = torch.tensor([list(prompt_tokens)], device=cache.device)  # (1, prompt)
    first = cached_forward(model, prompt, cache, [handle])[0, -1]  # (vocab,)
    check_finite(first)
    last = int(first.argmax())
    tokens, drafted, accepted, checks = [last], 0, 0, 0
    while len(tokens) < max_new_tokens and last not in stop:
        known = cache.length(handle)
        guesses: list[int] = []
        for _ in range(min(draft_tokens, max_new_tokens - len(tokens) - 1)):
            fed = torch.tensor([[guesses[-1] if guesses else last]], device=cache.device)
            logits = cached_forward(model, fed, cache, [handle], experts_per_token=draft_experts)
            guesses.append(int(logits[0, -1].argmax()))
        cache.truncate(handle, known)
        fed = torch.tensor([[last, *guesses]], device=cache.device)
        checked = cached_forward(model, fed, cache, [handle], every_logit=True)
        check_finite(checked)
        truth = checked[0].argmax(-1).tolist()  # truth[i] follows guess i - 1
        right = next((i for i, guess in enumerate(guesses) if guess != truth[i]), len(guesses))
        new = truth[: right + 1]
        end = next((i for i, token in enumerate(new) if token in stop), len(new) - 1)
        cache.truncate(handle, known + 1 + right)
        tokens += new[: end + 1]
        last = tokens[-1]
        drafted, accepted, checks = drafted + len(guesses), accepted + right, checks + 1
    return Speculation(tokens, drafted, accepted, checks)
