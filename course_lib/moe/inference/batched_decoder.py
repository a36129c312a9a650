"""Continuous batching: sequences enter and leave between steps, and one step gives every running one its next token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from course_lib.models import GPT
from course_lib.moe.errors import MoEError, check_count
from course_lib.moe.inference.cache import PagedCache
from course_lib.moe.inference.forward import cached_forward, check_causal
from course_lib.moe.inference.requests import check_request
from course_lib.moe.inference.sampling import Sampling, draw

Finish = Literal["", "stop", "length", "error"]
BLOCK = 16  # tokens; a sequence wastes half a block on average


@dataclass(frozen=True)
class Emitted:
    """What one step gave one sequence.

    Args:
        token: the token that was chosen; -1 after an error.
        logprob: its log-probability under the model (temperature 1, nothing filtered), in nats.
        finished: "stop" when it is one of the request's stop tokens, "length" when it is the last one allowed, "error"
            when the model's logits for this sequence are not finite (its neighbors go on), else "".
        logits: (vocab,) from which it was chosen.
    """

    token: int
    logprob: float
    finished: Finish
    logits: Tensor


class _Running:
    """A sequence in a slot."""

    def __init__(self, handle: int, limit: int, sampling: Sampling, prompt: Sequence[int]) -> None:
        self.handle, self.left, self.sampling = handle, limit, sampling
        self.generator = sampling.generator()
        self.unread = list(prompt)
        self.pending: Tensor | None = None  # (vocab,) of the last token read, until a step draws from it
        self.last = -1
        self.finished = False


class BatchedDecoder:
    """Decodes many sequences of different lengths together, over one paged key-value cache.

    Args:
        model: `GPT` or `MoEModel`; it is set to evaluation mode. Quantized and offloaded models work alike. The cache
            is made on its device: move it there before.
        max_sequences: slots, sequences that run at once.
        max_tokens: tokens that the cache holds, all sequences together; a request takes its prompt and its new
            tokens, rounded up to blocks of 16, from its admission to its release. None holds `max_sequences` full
            contexts.

    Usage: `slot = decoder.admit(prompt, max_new_tokens=20)`, then `decoder.step()` again and again; each call returns
    `{slot: Emitted}` for every running slot, a newly admitted one included. A slot whose `Emitted.finished` is not ""
    takes no part in later steps; `release(slot)` frees it. `release` may come at any time (a client hung up).
    A sequence's tokens do not depend on what else is in the batch. One thread at a time: callers lock.

    Raises:
        MoEError: for a model whose routing looks at other tokens (expert choice, soft, capacity), or bad numbers.

    Source: Yu et al. 2022 (Orca, OSDI) for scheduling by iteration; Kwon et al. 2023 (arXiv:2309.06180) for the
        paged cache.
    """

    def __init__(self, model: GPT, max_sequences: int = 8, max_tokens: int | None = None) -> None:
        check_count("max_sequences", max_sequences)
        self.model = model.eval()
        check_causal(model)
        self.context_length = model.config.context_length
        max_tokens = max_sequences * self.context_length if max_tokens is None else max_tokens
        check_count("max_tokens", max_tokens)
        self.max_sequences, self.max_tokens = max_sequences, max_tokens
        self._cache = PagedCache.of(model, tokens=max_tokens, block_size=min(BLOCK, max_tokens))
        self._slots: dict[int, _Running] = {}

    @property
    def running(self) -> tuple[int, ...]:
        """Slots that the next step advances, in order of admission."""
        return tuple(slot for slot, one in self._slots.items() if not (one.finished or one.unread))

    @property
    def free_slots(self) -> int:
        """Slots that `admit` can still give."""
        return self.max_sequences - len(self._slots)

    @property
    def free_tokens(self) -> int:
        """Tokens of the cache that no request has taken, in whole blocks."""
        return self._cache.free_tokens

    def can_admit(self, prompt_tokens: int, max_new_tokens: int) -> bool:
        """Whether a request of this size finds a slot and room in the cache now."""
        return self.free_slots > 0 and self._cache.fits(prompt_tokens + max_new_tokens)

    def check(self, tokens: Sequence[int], max_new_tokens: int) -> None:
        """Raise `MoEError` for a request that can never be admitted: empty, unknown tokens, too long.

        A server asks this when a request arrives, and `can_admit` when its turn comes.
        """
        check_request(self.model.config, tokens, max_new_tokens)
        if len(tokens) + max_new_tokens > self._cache.tokens:
            raise MoEError.of(
                "prompt and new tokens",
                len(tokens) + max_new_tokens,
                f"are more than the {self._cache.tokens} tokens that the cache holds",
                "give fewer, or a decoder with more max_tokens",
            )

    def admit(
        self, tokens: Sequence[int], max_new_tokens: int, sampling: Sampling | None = None, *, read: int | None = None
    ) -> int:
        """Read a prompt into the cache and give it a slot; its first token comes with the next `step`.

        Args:
            tokens: the prompt, at least one token.
            max_new_tokens: after so many the sequence is finished.
            sampling: how its tokens are chosen; greedy when left out.
            read: of the prompt's tokens only so many are read now, and `read` takes the others later, so that a long
                prompt need not hold up the sequences that are running. All when left out.

        Returns:
            The slot, 0 to max_sequences - 1.

        Raises:
            MoEError: for a request that `check` refuses, when all slots are taken, or the cache is full now.
        """
        self.check(tokens, max_new_tokens)
        if not self.free_slots:
            raise MoEError.of(
                "admit", f"{self.max_sequences} sequences", "are running: all slots are taken", "release one, or wait"
            )
        if not self._cache.fits(len(tokens) + max_new_tokens):
            raise MoEError.of(
                "prompt and new tokens",
                len(tokens) + max_new_tokens,
                f"do not fit into the {self.free_tokens} tokens that are free",
                "release a sequence, or wait",
            )
        handle = self._cache.open(len(tokens) + max_new_tokens)
        slot = next(i for i in range(self.max_sequences) if i not in self._slots)
        self._slots[slot] = _Running(handle, max_new_tokens, sampling or Sampling(), tokens)
        try:
            self.read(slot, len(tokens) if read is None else read)
        except BaseException:
            self.release(slot)
            raise
        return slot

    def read(self, slot: int, tokens: int, *, every_logit: bool = False) -> Tensor:
        """Read the next piece of a prompt that `admit` has not read to its end.

        Args:
            slot: of `admit`. It takes part in `step` once its prompt is read.
            tokens: how many to read at most; 0 reads nothing.
            every_logit: logits after every token of the piece, else after its last.

        Returns:
            (tokens read or 1, vocab); (0, vocab) when there was nothing to read.

        Raises:
            MoEError: for a slot that is not taken, or a negative number.
        """
        check_count("tokens", tokens, minimum=0)
        sequence = self._taken(slot)
        piece = sequence.unread[:tokens]
        if not piece:
            return torch.empty(0, self.model.config.vocab_size, device=self._cache.device)
        fed = torch.tensor([piece], device=self._cache.device)  # (1, read)
        logits = cached_forward(self.model, fed, self._cache, [sequence.handle], every_logit=every_logit)[0]
        sequence.unread = sequence.unread[len(piece) :]
        sequence.pending = logits[-1]
        return logits

    def step(self, slots: Sequence[int] | None = None) -> dict[int, Emitted]:
        """One more token for every running slot, in one pass over the model; {} when nothing runs.

        Args:
            slots: only these of the running ones; all when left out. After a step that raised, which changes nothing,
                one slot at a time shows whose fault it was.
        """
        running = {slot: self._slots[slot] for slot in self.running if slots is None or slot in slots}
        fed = [sequence for sequence in running.values() if sequence.pending is None]
        if fed:
            last = [[sequence.last] for sequence in fed]
            tokens = torch.tensor(last, device=self._cache.device)  # (sequences, 1)
            logits = cached_forward(self.model, tokens, self._cache, [sequence.handle for sequence in fed])
            for sequence, row in zip(fed, logits[:, -1], strict=True):
                sequence.pending = row
        return {slot: self._emit(sequence) for slot, sequence in running.items()}

    def _emit(self, sequence: _Running) -> Emitted:
        logits = sequence.pending
        assert logits is not None
        sequence.pending, sequence.left = None, sequence.left - 1
        if not bool(torch.isfinite(logits).all()):
            sequence.finished = True
            return Emitted(-1, float("nan"), "error", logits)
        token = sequence.last = draw(logits, sequence.sampling, sequence.generator)
        finished: Finish = "stop" if token in sequence.sampling.stop else "" if sequence.left else "length"
        sequence.finished = finished != ""
        return Emitted(token, float(logits.float().log_softmax(-1)[token]), finished, logits)

    def release(self, slot: int) -> None:
        """Free a slot and its part of the cache, whether its sequence has finished or not.

        Raises:
            MoEError: for a slot that is not taken.
        """
        self._cache.close(self._taken(slot).handle)
        del self._slots[slot]

    def _taken(self, slot: int) -> _Running:
        if slot not in self._slots:
            raise MoEError.of("slot", slot, f"is not taken; taken are {list(self._slots)}", "release each slot once")
        return self._slots[slot]
