"""All layouts of a cluster that could train a model, and counts of those that a rule excludes.

Rules: every device has whole heads, chunks of whole layers and whole experts; the batch divides; tensor parallelism
stays inside of a node.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from course_lib.arithmetic.errors import ArithmeticInputError, check_choice, check_count
from course_lib.arithmetic.model_states import check_choice_of_stage
from course_lib.arithmetic.pipeline import SCHEDULES, Schedule
from course_lib.arithmetic.planner.layout import Layout
from course_lib.arithmetic.planner.workload import Workload
from course_lib.arithmetic.training_flops import RECOMPUTATIONS
from course_lib.catalog import ModelConfig

MICROBATCHES = (1, 2, 4, 8, 16)
SEARCHED: tuple[Schedule, ...] = ("1f1b", "zb1p", "interleaved")  # the others only when asked for
SHORTEST_PIECE = 1024  # tokens of a sequence that one context-parallel device should have at least
FEWEST_UNEVEN = 2  # layers per stage from which stages may differ by one
MOST_CHUNKS = 8  # virtual stages per device
SHORT_NAMES = {
    "tp": "tensor_parallel",
    "pp": "pipeline_parallel",
    "cp": "context_parallel",
    "dp": "data_parallel",
    "ep": "expert_parallel",
    "zero": "zero_stage",
    "shard": "shard_parallel",
    "schedule": "schedule",
    "v": "virtual_stages",
    "microbatch": "microbatch",
    "recompute": "recomputation",
}
HEADS = "tensor parallelism would cut a head"
NODE = "tensor parallelism would leave its node"
LAYERS = "layers do not divide into the stages' chunks"
BATCH = "batch does not divide over the replicas"
GPIPE = "GPipe takes 1F1B's time and at least its memory"
EXPERTS = "experts do not divide over the replicas"
PIECES = f"pieces of a sequence would not balance, or be under {SHORTEST_PIECE:,} tokens"


@dataclass(frozen=True)
class Degrees:
    """Sizes of the groups, before anything else is chosen."""

    tensor: int
    pipeline: int
    context: int
    data: int
    expert: int


@dataclass
class Rules:
    """What a search may try.

    Args:
        fixed: fields of `Layout` that the caller has set.
        outside_node: let tensor parallelism leave its node.
        dropped: rule -> combinations of degrees that it excluded.
    """

    fixed: Mapping[str, object] = field(default_factory=dict)
    outside_node: bool = False
    dropped: Counter[str] = field(default_factory=Counter)

    def allows(self, name: str, value: object) -> bool:
        """Whether the caller has left this value open."""
        return self.fixed.get(name, value) == value


def fixed_fields(fixed: Mapping[str, object]) -> dict[str, object]:
    """Translate `tp=8, zero=3` and the like into fields of `Layout`.

    Raises:
        ArithmeticInputError: for a name that no layout has, or a value that it cannot have.
    """
    known = set(SHORT_NAMES.values())
    found: dict[str, object] = {}
    for name, value in fixed.items():
        long = SHORT_NAMES.get(name, name)
        if long not in known:
            raise ArithmeticInputError.of("fix", name, "is no part of a layout", f"use {', '.join(SHORT_NAMES)}")
        _check_fixed(name, long, value)
        found[long] = value
    return found


def check_divides_devices(fixed: Mapping[str, object], devices: int, cluster: str) -> None:
    """Raise unless the degrees that are settled, together, divide a cluster's devices."""
    together = 1
    for name in ("tensor_parallel", "pipeline_parallel", "context_parallel", "data_parallel"):
        value = fixed.get(name, 1)
        together *= value if isinstance(value, int) else 1
        if devices % together:
            raise ArithmeticInputError.of(
                name, value, f"cannot be part of a layout of the {devices:,} devices of {cluster}", "settle a divisor"
            )


def _check_fixed(name: str, field_name: str, value: object) -> None:
    words = {"schedule": SCHEDULES, "recomputation": RECOMPUTATIONS}
    if field_name in words:
        check_choice(name, value, words[field_name])
    elif field_name == "zero_stage":
        check_choice_of_stage(value)  # type: ignore[arg-type]
    else:
        check_count(name, value, 0 if field_name == "shard_parallel" else 1)


def degrees(w: Workload, rules: Rules) -> Iterator[Degrees]:
    """Every way to divide the devices that passes the rules; counts those that do not."""
    c, devices = w.config, w.cluster.devices
    for t in divisors(devices):
        if not rules.allows("tensor_parallel", t):
            continue
        if c.heads % t or (c.kv_heads % t and t % c.kv_heads):
            rules.dropped[HEADS] += 1
            continue
        if t > w.cluster.devices_per_node and not rules.outside_node and "tensor_parallel" not in rules.fixed:
            rules.dropped[NODE] += 1
            continue
        for p in divisors(devices // t):
            if not rules.allows("pipeline_parallel", p):
                continue
            if p > 1 and not chunks(c, p):
                rules.dropped[LAYERS] += 1
                continue
            yield from _replicas(w, rules, t, p)


def _replicas(w: Workload, rules: Rules, t: int, p: int) -> Iterator[Degrees]:
    c, s = w.config, w.sequence_length
    for cp in divisors(w.cluster.devices // t // p):
        d = w.cluster.devices // t // p // cp
        if not (rules.allows("context_parallel", cp) and rules.allows("data_parallel", d)):
            continue
        short = s / cp < SHORTEST_PIECE and "context_parallel" not in rules.fixed
        if cp > 1 and (s % (2 * cp) or short):
            rules.dropped[PIECES] += 1
            continue
        if w.global_batch % d:
            rules.dropped[BATCH] += 1
            continue
        for ep in divisors(d) if c.experts else (1,):
            if not rules.allows("expert_parallel", ep):
                continue
            if ep > 1 and c.experts % ep:
                rules.dropped[EXPERTS] += 1
                continue
            yield Degrees(t, p, cp, d, ep)


def chunks(c: ModelConfig, stages: int) -> tuple[int, ...]:
    """Numbers of chunks per device into which the layers go; the embedding and the logits may each stand for a layer.

    Stages of one chunk may differ by a layer, and the fullest then sets the pace; chunks of several must be equal.

    Source: Grattafiori et al. 2024 (arXiv:2407.21783) section 3.3.2 takes one layer from the first and the last stage.
    """
    most = min(MOST_CHUNKS, -(-c.layers // stages))
    equal = {v for v in range(1, most + 1) if any((c.layers + ends) % (stages * v) == 0 for ends in (0, 1, 2))}
    return tuple(sorted(equal | ({1} if c.layers >= FEWEST_UNEVEN * stages else set())))


def sharings(w: Workload, rules: Rules, g: Degrees) -> Iterator[tuple[int, int]]:
    """(ZeRO stage, devices that share one copy of the state; 0 means all) worth trying"""
    members = g.data * g.context
    inside = w.cluster.devices_per_node // (g.tensor * g.context)
    hybrid = inside if 1 < inside < g.data and g.data % inside == 0 and inside % g.expert == 0 else 0
    wanted = rules.fixed.get("shard_parallel")
    groups: tuple[int, ...] = (0, hybrid) if hybrid else (0,)
    if isinstance(wanted, int):
        groups = (wanted,) if g.data % (wanted or g.data) == 0 and (wanted or g.data) % g.expert == 0 else ()
    alone = rules.fixed.get("zero_stage", 0)  # with one member every stage is the same, so what is settled holds
    for stage in (0, 1, 2, 3):
        if rules.allows("zero_stage", stage) if members > 1 else stage == alone:
            for shards in groups if stage else (0,):
                yield stage, shards


def schedules(w: Workload, rules: Rules, stages: int, microbatches: int) -> Iterator[tuple[Schedule, int]]:
    """(schedule, virtual stages) that so many microbatches can run"""
    if stages == 1:
        if rules.allows("schedule", "1f1b") and rules.allows("virtual_stages", 1):
            yield "1f1b", 1
        return
    if "schedule" not in rules.fixed:
        rules.dropped[GPIPE] += 1
    for v in chunks(w.config, stages):
        if not rules.allows("virtual_stages", v):
            continue
        for name in SCHEDULES if "schedule" in rules.fixed else SEARCHED:
            runs = v == 1 if name != "interleaved" else v > 1 and microbatches % stages == 0
            if runs and rules.allows("schedule", name) and not (name == "dualpipe" and stages % 2):
                yield name, v


def microbatch_sizes(w: Workload, rules: Rules, data_parallel: int) -> tuple[int, ...]:
    """Sequences per microbatch worth trying: powers of two, or what the caller has fixed."""
    each = w.global_batch // data_parallel
    wanted = rules.fixed.get("microbatch")
    if isinstance(wanted, int):
        return (wanted,) if wanted > 0 and each % wanted == 0 else ()
    return tuple(b for b in MICROBATCHES if each % b == 0)


def layout_of(
    g: Degrees, sharing: tuple[int, int], microbatch: int, recomputation: str, schedule: tuple[Schedule, int]
) -> Layout:
    """The layout that these choices make."""
    return Layout(
        tensor_parallel=g.tensor,
        pipeline_parallel=g.pipeline,
        context_parallel=g.context,
        data_parallel=g.data,
        expert_parallel=g.expert,
        zero_stage=sharing[0],
        shard_parallel=sharing[1],
        schedule=schedule[0],
        virtual_stages=schedule[1],
        microbatch=microbatch,
        recomputation=recomputation,  # type: ignore[arg-type]
        sequence_parallel=g.tensor > 1,
    )


def divisors(n: int) -> list[int]:
    """All divisors, ascending."""
    small = [d for d in range(1, int(n**0.5) + 1) if n % d == 0]
    return sorted({*small, *(n // d for d in small)})
