"""Text from a model, token after token."""

from __future__ import annotations

from collections.abc import Sequence

from course_lib.models import GPT
from course_lib.moe.inference.batched_decoder import BatchedDecoder
from course_lib.moe.inference.requests import check_request
from course_lib.moe.inference.sampling import Sampling, check_finite


def generate(
    model: GPT,
    prompt_tokens: Sequence[int],
    max_new_tokens: int,
    *,
    temperature: float = 0.0,
    top_p: float = 1.0,
    top_k: int = 0,
    seed: int = 0,
    stop: Sequence[int] = (),
) -> list[int]:
    """Continue a prompt.

    Args:
        model: `GPT` or `MoEModel`; set to evaluation mode.
        prompt_tokens: at least one.
        max_new_tokens: at most so many are made.
        temperature, top_p, top_k, seed: see `Sampling`; greedy by default.
        stop: tokens after which the text ends; the one that ended it is returned with the rest.

    Returns:
        The new tokens.

    Raises:
        MoEError: for an empty prompt, an unknown token, more tokens than the context, bad sampling numbers, or
            logits that are not finite.
    """
    sampling = Sampling(temperature=temperature, top_p=top_p, top_k=top_k, seed=seed, stop=tuple(stop))
    check_request(model.config, prompt_tokens, max_new_tokens)
    decoder = BatchedDecoder(model, max_sequences=1, max_tokens=len(prompt_tokens) + max_new_tokens)
    slot = decoder.admit(prompt_tokens, max_new_tokens, sampling)
    tokens: list[int] = []
    while decoder.running:
        emitted = decoder.step()[slot]
        if emitted.finished == "error":
            check_finite(emitted.logits)
        tokens.append(emitted.token)
    return tokens
