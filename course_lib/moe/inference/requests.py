"""Which requests a model can answer at all: checked where they enter, before any work is done for them."""

from __future__ import annotations

from collections.abc import Sequence

from course_lib.catalog import ModelConfig
from course_lib.moe.errors import MoEError, check_count


def check_request(config: ModelConfig, tokens: Sequence[int], max_new_tokens: int) -> None:
    """Raise `MoEError` for an empty prompt, a token outside of the vocabulary, or more tokens than the context.

    Args:
        config: the model's shape.
        tokens: the prompt.
        max_new_tokens: tokens to come.
    """
    check_count("max_new_tokens", max_new_tokens)
    if not len(tokens):
        raise MoEError.of("prompt", [], "is empty", "give at least one token, such as the end-of-text token")
    for token in tokens:
        if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < config.vocab_size:
            raise MoEError.of(
                "token", token, f"is not a whole number from 0 to {config.vocab_size - 1}", "use the model's tokenizer"
            )
    total = len(tokens) + max_new_tokens
    if total > config.context_length:
        raise MoEError.of(
            "prompt and new tokens",
            total,
            f"are more than the context of {config.context_length} tokens ({len(tokens)} + {max_new_tokens})",
            f"shorten the prompt, or ask for at most {max(config.context_length - len(tokens), 0)} new tokens",
        )
