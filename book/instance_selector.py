"""The instance selector: the fewest instances on which a model's training state fits, and their price per hour.

Everything is `course_lib.arithmetic.training_memory` against the catalog, computed when the page is built.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from IPython.display import HTML

from book.kit.explorer import Axis, Explorer, Slot
from course_lib import arithmetic, catalog

MODELS = (
    "gpt2-xl", "olmoe-1b-7b", "llama3-8b", "llama2-13b", "gpt-oss-20b", "mixtral-8x7b", "llama3-70b", "gpt3-175b",
    "llama3-405b", "deepseek-v3",
)  # fmt: skip
# one row for each size that a training cluster is built from
INSTANCES = (
    "g5.48xlarge", "g6.48xlarge", "g6e.48xlarge", "p3dn.24xlarge", "p4d.24xlarge", "p4de.24xlarge", "p5.4xlarge",
    "p5.48xlarge", "p5en.48xlarge", "p6-b200.48xlarge", "trn1.2xlarge", "trn1.32xlarge", "trn2.48xlarge",
    "trn2u.48xlarge",
)  # fmt: skip
MOST_INSTANCES = 128
USABLE_FRACTION = 0.9  # the rest: the runtime, communication buffers, fragmentation
SEQUENCE_LENGTH = 4096
STAGES = (
    (3, "ZeRO-3 / FSDP: everything divided"),
    (2, "ZeRO-2: gradients and optimizer divided"),
    (1, "ZeRO-1: optimizer divided"),
    (0, "DDP: nothing divided"),
)
RECOMPUTATION = (("full", "full"), ("selective", "selective"), ("none", "none"))
BUDGETS = ((None, "any price, known or not"), (25.0, "$25"), (100.0, "$100"), (500.0, "$500"), (2000.0, "$2,000"))


@dataclass(frozen=True)
class Fit:
    """The smallest cluster of one instance type on which a training state fits."""

    instance: str
    instances: int
    bytes_per_chip: float
    usd_per_hour: float | None

    @property
    def chips(self) -> int:
        """Accelerators in the whole cluster."""
        return self.instances * catalog.instance(self.instance).accelerators


def bytes_per_chip(model: str, chips: int, zero_stage: int, recomputation: str) -> float:
    """Memory on each chip, one sequence per chip, in bytes."""
    return arithmetic.training_memory(
        model,
        zero_stage=zero_stage,
        data_parallel=chips,
        sequence_length=min(SEQUENCE_LENGTH, catalog.model(model).context_length),
        recomputation=recomputation,  # type: ignore[arg-type]
        flash_attention=True,
    ).total_bytes


@cache
def smallest_fit(model: str, instance: str, zero_stage: int, recomputation: str) -> Fit | None:
    """The fewest instances, up to MOST_INSTANCES, on which the model can be trained; None if none is enough.

    Memory on a chip never grows with the number of chips, so a bisection finds the first number that fits.
    """
    item = catalog.instance(instance)
    room = USABLE_FRACTION * item.accelerator_spec.memory_bytes
    low, high = 1, MOST_INSTANCES
    if bytes_per_chip(model, high * item.accelerators, zero_stage, recomputation) > room:
        return None
    while low < high:
        middle = (low + high) // 2
        if bytes_per_chip(model, middle * item.accelerators, zero_stage, recomputation) <= room:
            high = middle
        else:
            low = middle + 1
    price = item.price()
    per_hour = None if price is None or price.usd_per_hour is None else low * price.usd_per_hour
    return Fit(instance, low, bytes_per_chip(model, low * item.accelerators, zero_stage, recomputation), per_hour)


def cheapest_fit(model: str, zero_stage: int, recomputation: str, budget: float | None = None) -> Fit | None:
    """The fitting cluster with the lowest known price per hour within the budget (USD per hour)."""
    fits = [smallest_fit(model, name, zero_stage, recomputation) for name in INSTANCES]
    priced = [(fit.usd_per_hour, fit) for fit in fits if fit and fit.usd_per_hour is not None]
    within = [pair for pair in priced if budget is None or pair[0] <= budget]
    return min(within, key=lambda pair: pair[0])[1] if within else None


def selector() -> HTML:
    """The explorer; put it last in a cell."""
    return HTML(_explorer().html())


def _explorer() -> Explorer:
    keys = ("model", "stage", "recomputation")
    columns = {name: f"on_{number}" for number, name in enumerate(INSTANCES)}

    def row(name: str) -> Slot:
        def words(model: str, stage: int, recomputation: str) -> str:
            return _words(smallest_fit(model, name, stage, recomputation))

        return Slot(columns[name], keys, words)

    def best(model: str, stage: int, recomputation: str, budget: float | None) -> str:
        fit = cheapest_fit(model, stage, recomputation, budget)
        if fit is None:
            limit = "" if budget is None else f" for at most ${budget:,.0f} per hour"
            return f"nothing in the list holds it{limit}"
        return f"the cheapest per hour is {fit.instances} × {fit.instance}, ${fit.usd_per_hour:,.2f}"

    return Explorer(
        id="instance-selector-explorer",
        title="Instance selector",
        axes=(
            Axis("model", "Model", tuple((name, catalog.model(name).title) for name in MODELS), "llama3-8b"),
            Axis("stage", "Data parallelism", STAGES, 3),
            Axis("recomputation", "Activations recomputed", RECOMPUTATION, "full"),
            Axis("budget", "At most, per hour", BUDGETS, None),
        ),
        slots=(*(row(name) for name in INSTANCES), Slot("best", (*keys, "budget"), best)),
        answer="{model}, {stage}, recomputation {recomputation}: {best}.",
        rows=tuple((_title(name), columns[name]) for name in INSTANCES),
        note="Mixed precision with Adam (16 bytes of state per parameter), one sequence of at most "
        f"{SEQUENCE_LENGTH:,} tokens per chip, flash attention, no tensor or pipeline parallelism, "
        f"{USABLE_FRACTION:.0%} of each chip's memory usable, at most {MOST_INSTANCES} instances. On-demand prices "
        "from the catalog. Fitting says nothing about speed.",
    )


def _title(name: str) -> str:
    item = catalog.instance(name)
    return f"{name} ({item.accelerators} × {item.accelerator_spec.title})"


def _words(fit: Fit | None) -> str:
    if fit is None:
        return f"does not fit on {MOST_INSTANCES} instances"
    number = "1 instance" if fit.instances == 1 else f"{fit.instances} instances"
    money = "price not known" if fit.usd_per_hour is None else f"${fit.usd_per_hour:,.2f} per hour"
    return f"{number}, {fit.bytes_per_chip / 1e9:.1f} GB per chip, {money}"
