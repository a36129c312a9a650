"""The planner on 1,024 devices, against the same search without its bounds, in one run.

The peer predicts layouts one by one with `predict`, as anyone would in a plain loop. It takes a fixed sample of the
layouts that the search considers and is scaled up to all of them, since the whole would take a minute; the absolute
seconds of the search stand beside it, and the step's goal is under two.
"""

from __future__ import annotations

from benchmarks.ratio import Ratio, compare
from course_lib.arithmetic import instance_cluster, plan, predict

NODES = 128
BATCH = 1024
SAMPLE = 200


def measure() -> list[Ratio]:
    """A dense and a mixture-of-experts model on 1,024 H100."""
    return [_one("llama3-70b"), _one("mixtral-8x7b"), _one("qwen3-235b-a22b")]


def _one(model: str) -> Ratio:
    cluster = instance_cluster("p5.48xlarge", NODES)
    found = plan(model, cluster, BATCH, sequence_length=4096, top=SAMPLE)
    layouts = [one.layout for one in found.best]

    def search() -> object:
        return plan(model, cluster, BATCH, sequence_length=4096)

    def one_by_one() -> object:
        return [predict(model, cluster, layout, BATCH, sequence_length=4096) for layout in layouts]

    scale = found.considered / len(layouts)
    row = compare(f"plan {model} on {cluster.devices:,} devices ({found.considered:,} layouts)", search,
                  f"predict, one by one ({len(layouts)} layouts x {scale:,.0f})", one_by_one)  # fmt: skip
    return Ratio(row.what, row.peer, row.our_seconds, row.peer_seconds * scale, row.ratio / scale)
