"""10,000 simulated runs on spot instances: against an event loop in plain Python, and against Daly's closed form."""

from __future__ import annotations

import random

from benchmarks.ratio import Ratio, compare
from course_lib.arithmetic import checkpoint_interval, time_per_useful_time
from course_lib.finops.spot import EXACT, ExponentialInterruptions, SpotJob, SpotMarket, run_once, simulate

RUNS, FEWER = 10_000, 100  # the loop plays fewer, and its time is scaled: runs are independent
HOUR, CHECKPOINT, MEAN, RESTART = 3600.0, 120.0, 4 * 3600.0, 600.0
LIMIT, WITHIN = 5.0, 0.02  # seconds; of the closed form


def measure() -> list[Ratio]:
    """The figures of the FinOps step: under 5 s, and within 2 % of the closed form."""
    interval = checkpoint_interval(CHECKPOINT, MEAN).interval_seconds
    job = SpotJob(400 * interval, interval, CHECKPOINT, restart_seconds=RESTART)
    market = SpotMarket(ExponentialInterruptions(MEAN), 1.0, billing=EXACT)

    def theirs() -> None:
        draw = random.Random(0)
        for _ in range(FEWER):
            run_once(job, market, lifetime=lambda launch, at: draw.expovariate(1 / MEAN))

    what = f"{RUNS:,} runs of 400 checkpoints on spot"
    row = compare(what, lambda: simulate(job, market, runs=RUNS), f"event loop (of {FEWER}, scaled)", theirs, runs=3)
    peer = row.peer_seconds * RUNS / FEWER
    expected = time_per_useful_time(interval, CHECKPOINT, MEAN, restart_seconds=RESTART)
    found = simulate(job, market, runs=RUNS).time_per_useful_time().value
    if abs(found / expected - 1) > WITHIN:
        raise RuntimeError(f"{found:.5f} s a useful second, and Daly's formula says {expected:.5f}")
    return [
        Ratio(what, row.peer, row.our_seconds, peer, row.ratio * FEWER / RUNS),
        Ratio(what, "5 s", row.our_seconds, LIMIT, row.our_seconds / LIMIT),
        Ratio("their time per useful time (a number)", "Daly's closed form", found, expected, found / expected),
    ]
