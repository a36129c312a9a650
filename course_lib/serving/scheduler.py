"""Continuous batching: a thread that reads prompts piece by piece and gives every running sequence a token a step.

Sequences join and leave between steps. They are admitted in the order of their arrival and none overtakes; between
two steps at most `Limits.prefill_tokens` prompt tokens are read, so that running sequences keep their pace.

Source: Yu et al. 2022 (Orca, OSDI) for scheduling by iteration; Agrawal et al. 2023 (arXiv:2308.16369) for reading
    prompts in pieces between decode steps.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence

from course_lib.moe import BatchedDecoder
from course_lib.serving.batch import Batch
from course_lib.serving.errors import queue_full
from course_lib.serving.faults import server_error, too_late, unavailable
from course_lib.serving.health import Health
from course_lib.serving.jobs import Failed, Job
from course_lib.serving.limits import Limits
from course_lib.serving.metrics import Metrics

LOG = logging.getLogger(__name__)


class Scheduler:
    """Runs jobs on a decoder, in a thread of its own.

    Args:
        decoder: the model and its cache; nobody else may use it meanwhile.
        limits: what is taken on.
        metrics: where it counts.
    """

    def __init__(self, decoder: BatchedDecoder, limits: Limits | None = None, metrics: Metrics | None = None) -> None:
        self.decoder, self.limits, self.metrics = decoder, limits or Limits(), metrics or Metrics()
        self._wake = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._batch = Batch(decoder, self.limits.prefill_tokens, self.metrics)
        self._stopping = self._abandoned = self._dead = False
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Take jobs on, all of them or none.

        Raises:
            ServingError: 429 when the queue has no room for them, 503 when the server stops.
        """
        with self._wake:
            if self._stopping or self._dead:
                raise unavailable("dead" if self._dead else "stopping")
            # What a free slot takes at once needs no place in the queue.
            room = self.limits.queue + max(0, self.decoder.max_sequences - len(self._batch.running))
            if len(self._waiting) + len(jobs) > room:
                raise queue_full(len(self._waiting), len(jobs), self.limits.queue, self._seconds_to_wait())
            self._waiting.extend(jobs)
            self._wake.notify()

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Give jobs up, running or not: nobody reads them any more. Jobs that have ended are left alone."""
        with self._wake:
            for job in jobs:
                job.cancelled = True
            self._wake.notify()

    def stop(self, *, finish: bool = True, timeout: float | None = None) -> None:
        """End the thread; new jobs are refused from now on.

        Args:
            finish: do what was taken on first; otherwise it fails with 503.
            timeout: seconds to wait for that; what is left then fails.
        """
        with self._wake:
            self._stopping = True
            self._abandoned = not finish
            self._wake.notify()
        if not self._thread.ident:
            return
        self._thread.join(timeout)
        with self._wake:
            self._abandoned = True
        self._thread.join()

    def health(self) -> Health:
        """How it is now."""
        failures = self._batch.failures
        status = "degraded" if failures.last_step_failed else "ok"
        status = "dead" if self._dead else "stopping" if self._stopping else status
        counts = len(self._batch.running), len(self._waiting), self.decoder.max_sequences
        return Health(status, *counts, failures.count, failures.last)

    def _seconds_to_wait(self) -> float:
        waves = (len(self._waiting) + 1) / self.decoder.max_sequences
        return min(60.0, max(1.0, waves * self._batch.seconds_per_job))

    def _run(self) -> None:
        try:
            while True:
                with self._wake:
                    while not (self._waiting or self._batch.running or self._stopping):
                        self._wake.wait()
                    if self._stopping and not (self._waiting or self._batch.running):
                        return
                self._turn()
        except BaseException as error:  # this thread has no caller: whoever waits for its jobs must hear
            LOG.exception("the scheduler has ended")
            with self._wake:
                self._dead = True
                self._batch.failures.note(error)
                left = [*self._waiting, *self._batch.running.values()]
                self._waiting.clear()
                self._batch.running.clear()
            for job in left:
                self.metrics.sequences.labels("error").inc()
                job.sink(Failed(server_error("the scheduler has ended", error)))

    def _turn(self) -> None:
        """One round: who leaves, who joins, a piece of prompt, a token for everyone."""
        self._drop_lost()
        self._admit()
        self._batch.read_prompts()
        self._batch.step()

    def _drop_lost(self) -> None:
        """Let go of those whom nobody waits for any more, whose time is up, or all when the server gives up."""
        now = time.monotonic()

        def lost(job: Job) -> bool:
            return self._abandoned or job.cancelled or job.overdue(now)

        with self._wake:
            leaving = [job for job in self._waiting if lost(job)]
            if leaving:
                self._waiting = deque(job for job in self._waiting if not lost(job))
        for job in leaving + [job for job in self._batch.running.values() if lost(job)]:
            if job.cancelled:
                self._batch.leave(job, "cancelled")
            elif job.overdue(now):
                self._batch.fail(job, too_late(job.seconds, job.generated), "deadline")
            else:
                self._batch.fail(job, unavailable("stopping"), "error")

    def _admit(self) -> None:
        while True:
            with self._wake:
                if not self._waiting or not self._batch.fits(self._waiting[0]):
                    return
                job = self._waiting.popleft()
            self._batch.admit(job)
