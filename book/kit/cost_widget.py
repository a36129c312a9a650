"""The cost explorer: what training a model takes in time and money, on machines that the reader chooses.

Every figure is `course_lib.arithmetic.run_cost` or `training_memory`, computed at build time. A price that the catalog
does not know is called unknown, with the reason.
"""

from collections.abc import Sequence
from functools import cache

from IPython.display import HTML

from course_lib import arithmetic, catalog
from course_lib.arithmetic import RunCost

from . import quantities
from .explorer import Axis, Explorer, Slot

MODELS = (
    "gpt2", "gpt3-1.3b", "llama3-8b", "llama2-13b", "llama3-70b", "gpt3-175b", "llama3-405b",
    "olmoe-1b-7b", "gpt-oss-20b", "mixtral-8x7b", "deepseek-v3",
)  # fmt: skip
INSTANCES = (
    "p3dn.24xlarge", "p4d.24xlarge", "p4de.24xlarge", "p5.48xlarge", "p5e.48xlarge", "p5en.48xlarge",
    "p6-b200.48xlarge", "trn1.32xlarge", "trn1n.32xlarge", "trn2.48xlarge", "trn3-gen2-ultraserver",
    "g6.48xlarge", "g6e.48xlarge",
)  # fmt: skip
TOKENS = (1e9, 1e10, 1e11, 3e11, 1e12, 2e12, 15e12)
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
PURCHASES = (("on_demand", "on demand"), ("spot", "spot"), ("capacity_block", "capacity block"))
ANY_PRICE = 1.0  # run_cost wants a price even where only its hours are read
SEQUENCE_LENGTH = 2048


def cost_explorer(
    models: Sequence[str] = MODELS, instances: Sequence[str] = INSTANCES, mfu: float = 0.4, model: str = "llama3-8b"
) -> HTML:
    """The explorer; put it last in a cell.

    Args:
        models: Names of catalog models to offer.
        instances: Names of catalog instances to offer.
        mfu: Share of peak that a run is assumed to reach.
        model: The one chosen at first.

    Raises:
        UnknownNameError: (a ValueError) The catalog lacks one of the names.
    """
    return HTML(_explorer(tuple(models), tuple(instances), mfu, model).html())


def training_dtype(instance: str) -> str:
    """The 16-bit format that an instance trains in: bf16 where its chip has it, else fp16 (V100)."""
    return "bf16" if "bf16" in catalog.instance(instance).accelerator_spec.peak_tflops else "fp16"


def _explorer(models: tuple[str, ...], instances: tuple[str, ...], mfu: float, first: str) -> Explorer:
    @cache
    def run(model: str, tokens: float, instance: str, number: int, usd_per_hour: float) -> RunCost:
        return arithmetic.run_cost(
            model,
            tokens,
            instance,
            instances=number,
            mfu=mfu,
            dtype=training_dtype(instance),
            usd_per_hour=usd_per_hour,
        )

    def time(model: str, tokens: float, instance: str, number: int) -> str:
        return quantities.duration(run(model, tokens, instance, number, ANY_PRICE).seconds)

    def hours(model: str, tokens: float, instance: str) -> str:
        return f"{run(model, tokens, instance, 1, ANY_PRICE).instance_hours:,.4g}"

    def cost(model: str, tokens: float, instance: str, purchase: str) -> str:
        usd_per_hour = _usd_per_hour(instance, purchase)
        if usd_per_hour is None:
            return "an unknown sum (no known price)"
        # the number of machines changes the time, not the machine-hours, as long as scaling is perfect
        return quantities.money(run(model, tokens, instance, 1, usd_per_hour).usd)

    def per_million(model: str, instance: str, purchase: str) -> str:
        usd_per_hour = _usd_per_hour(instance, purchase)
        if usd_per_hour is None:
            return "unknown"
        return f"${run(model, 1e9, instance, 1, usd_per_hour).usd_per_million_tokens:,.4g}"

    return Explorer(
        id="cost-explorer",
        title="Cost explorer",
        axes=(
            Axis("model", "Model", tuple((name, catalog.model(name).title) for name in models), first),
            Axis("tokens", "Training tokens", tuple((n, quantities.count(n)) for n in TOKENS), 1e11),
            Axis("instance", "Instance", tuple((name, _instance_words(name)) for name in instances), "p5.48xlarge"),
            Axis("count", "Number of instances", tuple((n, str(n)) for n in COUNTS), 8),
            Axis("purchase", "Bought", PURCHASES, "on_demand"),
        ),
        slots=(
            Slot("time", ("model", "tokens", "instance", "count"), time),
            Slot("cost", ("model", "tokens", "instance", "purchase"), cost),
            Slot("hours", ("model", "tokens", "instance"), hours),
            Slot("per_million", ("model", "instance", "purchase"), per_million),
            Slot("price", ("instance", "purchase"), _price_words),
            Slot("memory", ("model", "instance", "count"), _memory_words),
        ),
        answer="{model} on {tokens} tokens with {count} × {instance}, {purchase}: {time}, for {cost}.",
        rows=(
            ("Price of one instance", "price"),
            ("Instance-hours, all machines together", "hours"),
            ("Cost of a million tokens", "per_million"),
            ("Memory on each chip", "memory"),
        ),
        note=f"Assumes {mfu:.0%} of the chips' dense 16-bit peak, 6 FLOPs per active parameter and token, perfect "
        "scaling, no failures and no waiting for capacity. Memory: states divided by ZeRO stage 3, "
        f"activations recomputed, one sequence of {SEQUENCE_LENGTH:,} tokens on each chip. A price is what its source "
        "said on its date.",
    )


def _instance_words(name: str) -> str:
    spec = catalog.instance(name)
    return f"{name} ({spec.accelerators} {spec.accelerator_spec.title})"


def _usd_per_hour(instance: str, purchase: str) -> float | None:
    price = catalog.instance(instance).price(purchase)
    return None if price is None else price.usd_per_hour


def _price_words(instance: str, purchase: str) -> str:
    price = catalog.instance(instance).price(purchase)
    if price is None:
        return "price unknown: the catalog has no observation"
    if price.usd_per_hour is None:
        return f"price unknown: {price.note} (looked up {price.date})"
    return f"${price.usd_per_hour:,.2f} per hour in {price.region} on {price.date}; source: {price.source}"


@cache
def _memory_words(model: str, instance: str, count: int) -> str:
    spec = catalog.instance(instance)
    chip = spec.accelerator_spec
    need = arithmetic.training_memory(
        model,
        zero_stage=3,
        data_parallel=spec.accelerators * count,
        sequence_length=min(SEQUENCE_LENGTH, catalog.model(model).context_length),
        recomputation="full",
        flash_attention=True,
    ).total_bytes
    verdict = "fits in" if need <= chip.memory_bytes else "does not fit in"
    return f"{quantities.size(need)} {verdict} {quantities.size(chip.memory_bytes)}"
