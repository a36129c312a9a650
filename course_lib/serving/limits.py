"""What a server takes on at most: beyond it requests wait, and then are told to come back."""

from __future__ import annotations

import math
from dataclasses import dataclass

from course_lib.serving.errors import ServingError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one server.

    Args:
        queue: sequences that wait for a slot at most; more are refused with 429.
        prefill_tokens: prompt tokens read between two decode steps at most, so that a long prompt doesn't hold up
            the sequences that are being written.
        choices: completions of one request at most, prompts times n.
        seconds: a sequence's time from arrival to end; then it fails with 504.
        body_bytes: of one request at most; more is refused with 413.

    Raises:
        ServingError: for a bound that lets nothing through.
    """

    queue: int = 1024
    prefill_tokens: int = 64
    choices: int = 64
    seconds: float = 300.0
    body_bytes: int = 4 * 1024 * 1024

    def __post_init__(self) -> None:
        for name in ("queue", "prefill_tokens", "choices", "body_bytes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ServingError.of(name, value, "must be a whole number of at least 1", "give one such as 64")
        if not math.isfinite(self.seconds) or self.seconds <= 0:
            raise ServingError.of("seconds", self.seconds, "must be above 0", "give one such as 300.0")
