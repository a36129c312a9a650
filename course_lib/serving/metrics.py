"""What the server counts, in Prometheus's form: GET /metrics.

Source: Prometheus, "Metric and label naming" (https://prometheus.io/docs/practices/naming/): base units, `_total`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from course_lib.serving.jobs import Job

PREFIX = "course_serving_"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
SEQUENCES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """One server's counters, in a registry of their own: two servers in one process don't mix.

    Attributes:
        requests: HTTP requests by endpoint and status.
        sequences: completions by how they ended: stop, length, cancelled, deadline, error.
        prompt_tokens, generated_tokens: tokens read and written.
        first_token_seconds: from a sequence's arrival to its first token, waiting included.
        token_seconds: between two tokens of a sequence.
        sequence_seconds: from arrival to end.
        batch: sequences that a step advanced.
        step_failures: steps of the model that raised.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "HTTP requests.", "endpoint", "status")
        self.sequences = self._counter("sequences", "Completions, by how they ended.", "ended")
        self.prompt_tokens = self._counter("prompt_tokens", "Prompt tokens read.")
        self.generated_tokens = self._counter("generated_tokens", "Tokens generated.")
        self.step_failures = self._counter("step_failures", "Steps of the model that raised.")
        self.first_token_seconds = self._histogram(
            "time_to_first_token_seconds", "From arrival to the first token.", SECONDS
        )
        self.token_seconds = self._histogram("token_seconds", "Between two tokens of a sequence.", TOKEN_SECONDS)
        self.sequence_seconds = self._histogram("sequence_seconds", "From arrival to end.", SECONDS)
        self.batch = self._histogram("batch_sequences", "Sequences that a step advanced.", SEQUENCES)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(PREFIX + name, text, buckets=buckets, registry=self.registry)

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A gauge whose value is asked for when somebody reads the metrics."""
        Gauge(PREFIX + name, text, registry=self.registry).set_function(value)

    def watch_total(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A counter that something else keeps, read when somebody reads the metrics."""
        self.registry.register(_Kept(PREFIX + name, text, value))

    def token(self, job: Job) -> None:
        """Count a token that a job has just got."""
        now = time.monotonic()
        if job.generated:
            self.token_seconds.observe(now - job.last_token_at)
        else:
            self.first_token_seconds.observe(now - job.arrived)
        job.generated, job.last_token_at = job.generated + 1, now
        self.generated_tokens.inc()

    def left(self, job: Job, ended: str, mean_seconds: float) -> float:
        """Count a job that is over.

        Args:
            job: the one.
            ended: how.
            mean_seconds: of jobs that ended well, so far.

        Returns:
            That mean with this job in it.
        """
        seconds = time.monotonic() - job.arrived
        self.sequences.labels(ended).inc()
        self.sequence_seconds.observe(seconds)
        return mean_seconds + 0.1 * (seconds - mean_seconds) if ended in ("stop", "length") else mean_seconds

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self.registry)


class _Kept(Collector):
    def __init__(self, name: str, text: str, value: Callable[[], float]) -> None:
        self._name, self._text, self._value = name, text, value

    def collect(self) -> Iterable[Metric]:
        """The counter as it stands now."""
        yield CounterMetricFamily(self._name, self._text, value=self._value())
