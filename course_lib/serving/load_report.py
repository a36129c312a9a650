"""What a load test found: percentiles, throughput, and what was not answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from course_lib.serving.load_shot import Shot

PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class LoadReport:
    """A load test's result.

    Args:
        requests: that were sent.
        concurrency: clients of a closed loop, else None.
        rate: requests per second of an open loop, else None.
        seconds: the whole test took.
        answered: requests with a whole answer.
        refused: that were told 429 in the end.
        lost: without any answer, or with half of one.
        errors: how many of each other kind.
        retries: answers 429 after which a client came back.
        prompt_tokens, generated_tokens: of all answered requests.
        tokens_per_second, requests_per_second: generated tokens and answered requests by the whole time.
        latency_seconds, first_token_seconds, token_seconds: p50, p90, p99 and mean of answered requests: to the end,
            to the first piece of text, and between two pieces. Empty when there are none.
    """

    requests: int
    concurrency: int | None
    rate: float | None
    seconds: float
    answered: int
    refused: int
    lost: int
    errors: dict[str, int]
    retries: int
    prompt_tokens: int
    generated_tokens: int
    tokens_per_second: float
    requests_per_second: float
    latency_seconds: dict[str, float]
    first_token_seconds: dict[str, float]
    token_seconds: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """For other programs."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str]]:
        """For a table: what, and how much."""
        loop = f"{self.concurrency} clients" if self.rate is None else f"{self.rate:g} requests/s, Poisson"
        rows = [
            ("load", f"{self.requests} requests, {loop}"),
            ("answered", f"{self.answered} in {self.seconds:.2f} s"),
            ("refused (429), lost", f"{self.refused}, {self.lost}"),
            *((f"error: {kind}", str(count)) for kind, count in self.errors.items()),
            ("throughput", f"{self.tokens_per_second:,.1f} tokens/s, {self.requests_per_second:,.2f} requests/s"),
        ]
        for name, times in (
            ("latency", self.latency_seconds),
            ("time to first token", self.first_token_seconds),
            ("time per token", self.token_seconds),
        ):
            if times:
                told = ", ".join(f"{key} {1e3 * value:,.1f}" for key, value in times.items())
                rows.append((f"{name}, ms", told))
        return rows


def report(shots: Sequence[Shot], seconds: float, *, concurrency: int | None, rate: float | None) -> LoadReport:
    """Sum up what became of the requests.

    Args:
        shots: all of them.
        seconds: the whole test took.
        concurrency: of a closed loop.
        rate: of an open one.
    """
    good = [shot for shot in shots if not shot.error]
    refused = [shot for shot in shots if shot.status == 429]
    lost = [shot for shot in shots if shot.error and (shot.status in (0, 200))]
    others = [shot for shot in shots if shot.error and shot.status not in (0, 200, 429)]
    generated = sum(shot.generated_tokens for shot in good)
    return LoadReport(
        requests=len(shots),
        concurrency=concurrency,
        rate=rate,
        seconds=seconds,
        answered=len(good),
        refused=len(refused),
        lost=len(lost),
        errors=dict(Counter(shot.error for shot in [*others, *lost])),
        retries=sum(shot.refusals - (shot.status == 429) for shot in shots),
        prompt_tokens=sum(shot.prompt_tokens for shot in good),
        generated_tokens=generated,
        tokens_per_second=generated / seconds,
        requests_per_second=len(good) / seconds,
        latency_seconds=_spread([shot.seconds for shot in good]),
        first_token_seconds=_spread([s.first_token_seconds for s in good if s.first_token_seconds is not None]),
        token_seconds=_spread([gap for shot in good for gap in shot.gap_seconds]),
    )


def _spread(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    found = np.percentile(values, PERCENTILES)
    return {f"p{p}": float(v) for p, v in zip(PERCENTILES, found, strict=True)} | {"mean": float(np.mean(values))}
