"""One sequence on its way through the scheduler, and what the scheduler tells about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from course_lib.moe import Sampling
from course_lib.serving.errors import ServingError
from course_lib.serving.transcript import TokenRecord, Transcript

Reason = Literal["stop", "length"]


@dataclass(frozen=True)
class PromptRead:
    """The prompt is in the cache.

    Args:
        records: of its tokens, where the job asked for them.
    """

    records: tuple[TokenRecord, ...] = ()


@dataclass(frozen=True)
class Piece:
    """Text that won't change any more, and the records of its tokens."""

    text: str
    records: tuple[TokenRecord, ...] = ()


@dataclass(frozen=True)
class Ended:
    """The last event of a sequence that went well."""

    reason: Reason
    generated_tokens: int


@dataclass(frozen=True)
class Failed:
    """The last event of one that did not."""

    error: ServingError


Event = PromptRead | Piece | Ended | Failed
Sink = Callable[[Event], None]


@dataclass(eq=False)
class Job:
    """One sequence: what is asked for, and how far it has come.

    Args:
        prompt: token ids, at least one.
        max_tokens: tokens to generate at most; 0 reads the prompt and stops.
        sampling: how tokens are chosen.
        transcript: turns them into text and finds the stop texts.
        sink: hears each event, from the scheduler's thread; it must not block.
        likeliest: so many of the likeliest tokens are told at each place; None tells no log probabilities.
        score_prompt: tell the prompt's too.
        prompt_offsets: characters before each of the prompt's tokens, if they are told.
        seconds: time to finish in, from now.
    """

    prompt: Sequence[int]
    max_tokens: int
    sampling: Sampling
    transcript: Transcript
    sink: Sink
    likeliest: int | None = None
    score_prompt: bool = False
    prompt_offsets: Sequence[int] = ()
    seconds: float = float("inf")
    arrived: float = field(default_factory=time.monotonic)
    cancelled: bool = False
    slot: int = -1
    read: int = 0
    generated: int = 0
    last_token_at: float = 0.0
    # (vocab,) at the last prompt position that was read: it predicts the first token of the next piece
    last_logits: Tensor | None = None
    prompt_records: list[TokenRecord] = field(default_factory=list)

    @property
    def unread(self) -> int:
        """Prompt tokens that are not in the cache yet."""
        return len(self.prompt) - self.read

    def overdue(self, now: float) -> bool:
        """Whether its time is up."""
        return now - self.arrived > self.seconds


def likeliest_tokens(logits: Tensor, count: int) -> tuple[tuple[int, float], ...]:
    """The likeliest tokens and their log probabilities, in nats.

    Args:
        logits: (vocab,).
        count: how many.
    """
    if not count:
        return ()
    top = logits.float().log_softmax(-1).topk(min(count, logits.shape[-1]))
    return tuple(zip(top.indices.tolist(), top.values.tolist(), strict=True))


def score(job: Job, logits: Tensor) -> None:
    """Record the log probabilities of the next piece of a job's prompt, before `job.read` counts it.

    Args:
        job: what is scored.
        logits: (piece, vocab) at the piece's places; the one before a token predicts it.
    """
    rows = [job.last_logits, *logits]
    for place, row in zip(range(job.read, job.read + len(logits)), rows, strict=False):
        token, offset = job.prompt[place], job.prompt_offsets[place]
        if row is None:
            job.prompt_records.append(TokenRecord(token, offset, None))
        else:
            logprob = float(row.float().log_softmax(-1)[token])
            job.prompt_records.append(TokenRecord(token, offset, logprob, likeliest_tokens(row, job.likeliest or 0)))
    job.last_logits = logits[-1]
