"""The sequences that run: reading their prompts, taking them a token further, and ending them one by one."""

from __future__ import annotations

import logging

from course_lib.moe import BatchedDecoder, Emitted
from course_lib.serving.errors import ServingError
from course_lib.serving.faults import server_error
from course_lib.serving.health import Failures
from course_lib.serving.jobs import Ended, Failed, Job, Piece, PromptRead, Reason, likeliest_tokens, score
from course_lib.serving.metrics import Metrics

LOG = logging.getLogger(__name__)


class Batch:
    """What the scheduler's thread does with a decoder; no other thread calls it.

    Args:
        decoder: the model and its cache.
        prefill_tokens: prompt tokens of one `read_prompts` at most.
        metrics: where it counts.

    Attributes:
        running: jobs by slot, in order of admission.
        failures: of the model.
        seconds_per_job: a running mean of those that ended well.
    """

    def __init__(self, decoder: BatchedDecoder, prefill_tokens: int, metrics: Metrics) -> None:
        self._decoder, self._piece, self._metrics = decoder, prefill_tokens, metrics
        self.running: dict[int, Job] = {}
        self.failures = Failures()
        self.seconds_per_job = 1.0

    def fits(self, job: Job) -> bool:
        """Whether there is a slot and room in the cache for it now."""
        return self._decoder.can_admit(len(job.prompt), max(1, job.max_tokens))

    def admit(self, job: Job) -> None:
        """Give a job a slot."""
        try:
            job.slot = self._decoder.admit(job.prompt, max(1, job.max_tokens), job.sampling, read=0)
        except Exception as error:  # noqa: BLE001  the others in the queue can do nothing for it
            self.fail(job, server_error("the sequence could not be admitted", error), "error")
            return
        self.running[job.slot] = job

    def read_prompts(self) -> None:
        """Read a piece of the prompts that are not in the cache yet, in the order of admission."""
        budget = self._piece
        for job in [job for job in self.running.values() if job.unread]:
            if not budget:
                return
            count = min(budget, job.unread)
            budget -= count
            try:
                self._read(job, count)
            except Exception as error:  # noqa: BLE001  a fault of the model's is this sequence's, not the server's
                self._note(error)
                self.fail(job, server_error("reading the prompt failed", error), "error")

    def _read(self, job: Job, count: int) -> None:
        logits = self._decoder.read(job.slot, count, every_logit=job.score_prompt)  # (count or 1, vocab)
        self.failures.over()
        if job.score_prompt:
            score(job, logits)
        job.read += count
        self._metrics.prompt_tokens.inc(count)
        if not job.unread:
            job.sink(PromptRead(tuple(job.prompt_records)))
            if job.max_tokens == 0:
                self._end(job, "length")

    def step(self) -> None:
        """A token for every sequence whose prompt is read."""
        if not self._decoder.running:
            return
        try:
            emitted = self._decoder.step()
            self.failures.over()
        except Exception as error:  # noqa: BLE001  a fault of the model's is its batch's, not the server's
            self._note(error)
            emitted = self._one_by_one()
        self._metrics.batch.observe(len(emitted))
        for slot, one in emitted.items():
            job = self.running[slot]
            try:
                self._take(job, one)
            except Exception as error:  # noqa: BLE001  a tokenizer that can't decode is this sequence's fault alone
                self.fail(job, server_error("the text could not be made", error), "error")

    def _one_by_one(self) -> dict[int, Emitted]:
        """After a step that raised: each sequence by itself, so that only those at fault end."""
        emitted: dict[int, Emitted] = {}
        for slot in self._decoder.running:
            try:
                emitted |= self._decoder.step([slot])
            except Exception as error:  # noqa: BLE001  it is this sequence's
                self.fail(self.running[slot], server_error("a step of the model failed", error), "error")
        return emitted

    def _take(self, job: Job, emitted: Emitted) -> None:
        """One token of one sequence."""
        if emitted.finished == "error":
            what = f"the model's logits are not finite after {job.generated} tokens"
            self._note(what)
            self.fail(job, server_error("a step of the model failed", what), "error")
            return
        self._metrics.token(job)
        if emitted.finished != "stop":
            told = job.likeliest is not None
            likeliest = likeliest_tokens(emitted.logits, job.likeliest or 0)
            piece, records = job.transcript.add(emitted.token, emitted.logprob if told else None, likeliest)
            if piece or (told and records):
                job.sink(Piece(piece, tuple(records) if told else ()))
        if emitted.finished == "stop" or job.transcript.stopped:
            self._end(job, "stop")
        elif emitted.finished:
            self._end(job, "length")

    def _note(self, error: object) -> None:
        LOG.warning("a step of the model failed", exc_info=error if isinstance(error, Exception) else None)
        self.failures.note(error)
        self._metrics.step_failures.inc()

    def _end(self, job: Job, reason: Reason) -> None:
        piece, records = job.transcript.finish()
        stopped: Reason = "stop" if job.transcript.stopped else reason
        self.leave(job, stopped)
        if piece or records:
            job.sink(Piece(piece, tuple(records) if job.likeliest is not None else ()))
        job.sink(Ended(stopped, job.generated))

    def fail(self, job: Job, error: ServingError, ended: str) -> None:
        """End a sequence by an error, whether it has a slot or waits for one."""
        self.leave(job, ended)
        job.sink(Failed(error))

    def leave(self, job: Job, ended: str) -> None:
        """Free the job's slot before anybody hears of its end."""
        if job.slot >= 0:
            self._decoder.release(job.slot)
            del self.running[job.slot]
            job.slot = -1
        self.seconds_per_job = self._metrics.left(job, ended, self.seconds_per_job)
