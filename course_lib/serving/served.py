"""A model as a server offers it: its name, its decoder, and the tokenizer that belongs to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tokenizers import Tokenizer

from course_lib.moe import BatchedDecoder
from course_lib.serving.errors import ServingError


@dataclass(frozen=True)
class ServedModel:
    """What a server serves.

    Args:
        name: clients ask for it by this name.
        decoder: the model with its slots and cache; it is used by the server alone.
        tokenizer: between text and token ids.
        end_tokens: ids after which a text is over.
        expert_cache: tells (hits, misses) so far of the model's expert cache, if it has one.
        created: Unix time in whole seconds, for GET /v1/models.

    Raises:
        ServingError: when the tokenizer has ids that the model doesn't know.
    """

    name: str
    decoder: BatchedDecoder
    tokenizer: Tokenizer
    end_tokens: tuple[int, ...] = ()
    expert_cache: Callable[[], tuple[int, int]] | None = None
    created: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        known, needed = self.decoder.model.config.vocab_size, self.tokenizer.get_vocab_size()
        if needed > known:
            raise ServingError.of(
                "tokenizer", f"{needed} tokens", f"has more than the model's {known}", "use the model's own tokenizer"
            )
        for token in self.end_tokens:
            if not 0 <= token < known:
                raise ServingError.of("end_tokens", token, f"must be from 0 to {known - 1}", "use the tokenizer's id")
        # A server pads and cuts nothing, whatever a training set-up has left in the tokenizer's file.
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
