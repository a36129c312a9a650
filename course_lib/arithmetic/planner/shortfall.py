"""What to say when nothing fits: the layout that lacks least, by how much, and what would help."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

from course_lib.arithmetic.errors import ArithmeticInputError
from course_lib.arithmetic.planner.candidates import Rules
from course_lib.arithmetic.planner.memory import memory_by_kind
from course_lib.arithmetic.planner.sweep import Tally, fits
from course_lib.arithmetic.planner.workload import Workload

GB = 1e9
DOUBLINGS = 6
RELEASED = {  # settled parts of a layout whose release may save memory, as a reader would type them
    "recomputation": "recompute=full",
    "microbatch": "microbatch=1",
    "zero_stage": "zero=3",
    "tensor_parallel": "another tp",
    "pipeline_parallel": "another pp",
    "context_parallel": "another cp",
    "expert_parallel": "another ep",
}


class InfeasibleError(ArithmeticInputError):
    """No layout fits; `missing_bytes` is the smallest shortfall, None where no layout passed the rules at all."""

    missing_bytes: float | None = None


def raise_infeasible(problems: Sequence[Workload], settled: Mapping[str, object], tally: Tally) -> NoReturn:
    """Raise the error for a search that found nothing.

    Args:
        problems: what was searched, one for each cluster.
        settled: what the caller had fixed.
        tally: the search's counts.

    Raises:
        InfeasibleError: always.
    """
    lean, first = tally.leanest, problems[0]
    where = ", ".join(w.cluster.name for w in problems)
    what = f"{first.config.name} with a batch of {first.global_batch:,} x {first.sequence_length:,} tokens"
    if lean is None:
        counts = sorted(tally.dropped.items(), key=lambda item: (-item[1], item[0]))
        reasons = "; ".join(f"{reason} ({count})" for reason, count in counts if count)
        raise InfeasibleError(
            f"{what} cannot be divided over {where}: {reasons or 'what is fixed leaves no layout'}. "
            "Remedy: choose a batch that more replicas divide, or fix less."
        )
    memory = memory_by_kind(lean.workload, lean.layout, lean.microbatches)
    kinds = {
        "parameters": memory.parameters_bytes,
        "gradients": memory.gradients_bytes,
        "optimizer": memory.optimizer_bytes,
        "activations": memory.activations_bytes,
        "logits": memory.logits_bytes,
        "buffers": memory.buffers_bytes,
        "reserve": memory.reserve_bytes,
    }
    largest = sorted(kinds.items(), key=lambda item: -item[1])[:3]
    shares = ", ".join(f"{name} {bytes_ / GB:.1f}" for name, bytes_ in largest)
    error = InfeasibleError(
        f"{what} fits no layout of {where}: the leanest ({lean.layout}) needs {memory.total_bytes / GB:.1f} GB on its "
        f"fullest device ({shares}) of {memory.limit_bytes / GB:.1f} GB, so {lean.missing_bytes / GB:.1f} GB are "
        f"missing. Remedy: {_remedy(lean.workload, settled)}."
    )
    error.missing_bytes = lean.missing_bytes
    raise error


def _remedy(w: Workload, settled: Mapping[str, object]) -> str:
    for name, words in RELEASED.items():
        if name in settled and fits(w, Rules({key: value for key, value in settled.items() if key != name})):
            return f"release {name}={settled[name]}: {words} fits"
    cluster = w.cluster
    for power in range(1, DOUBLINGS + 1):
        more = replace(cluster, devices=cluster.nodes * cluster.devices_per_node * 2**power, name="more",
                       network_bytes_per_s=cluster.network_bytes_per_s or 1.0)  # fmt: skip
        bigger = replace(w, cluster=more, kept={})
        if fits(bigger, Rules(settled)):
            return f"take {more.devices:,} devices ({more.nodes:,} nodes) instead of {cluster.devices:,}"
    if w.sequence_length > 2048 and fits(replace(w, sequence_length=2048, kept={}), Rules(settled)):
        return "take shorter sequences: 2,048 tokens fit"
    return "take chips with more memory, or a smaller model"
