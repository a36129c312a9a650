"""The plan explorer: the best layout of a training run for a model, an instance type and a number of chips.

Every answer is `course_lib.arithmetic.plan`, searched at build time; what does not fit says what would.
"""

from collections.abc import Callable, Sequence
from functools import cache

from IPython.display import HTML

from course_lib import arithmetic, catalog
from course_lib.arithmetic import InfeasibleError, Prediction

from . import quantities
from .explorer import Axis, Explorer, ExplorerError, Slot

MODELS = ("llama3-70b", "llama3-8b", "llama3-405b", "mixtral-8x7b")  # the first of each is shown at first
INSTANCES = ("p5.48xlarge", "p4d.24xlarge", "p6-b200.48xlarge", "trn2.48xlarge")
CHIPS = (1024, 256, 64)
TOKENS = (1e11, 1e12, 15e12)
SEQUENCES, SEQUENCE_LENGTH = 1024, 8192
NOTHING = "nothing fits"


def plan_explorer(
    models: Sequence[str] = MODELS, instances: Sequence[str] = INSTANCES, chips: Sequence[int] = CHIPS
) -> HTML:
    """The explorer; put it last in a cell. It searches every combination, a fraction of a second for each.

    Args:
        models: Names of catalog models to offer.
        instances: Names of catalog instances to offer.
        chips: Numbers of accelerators to offer; each instance's own number must divide them.

    Raises:
        UnknownNameError: (a ValueError) The catalog lacks one of the names.
        ExplorerError: (a ValueError) A number of chips fills no whole number of instances.
    """
    for instance in instances:
        each = catalog.instance(instance).accelerators
        for number in chips:
            if number < 1 or number % each:
                raise ExplorerError(f"{number} chips fill no whole number of {instance}, which has {each}")
    return HTML(_explorer(tuple(models), tuple(instances), tuple(chips)).html())


def _explorer(models: tuple[str, ...], instances: tuple[str, ...], chips: tuple[int, ...]) -> Explorer:
    @cache
    def found(model: str, instance: str, number: int) -> Prediction | str:
        cluster = arithmetic.instance_cluster(instance, number // catalog.instance(instance).accelerators)
        length = min(SEQUENCE_LENGTH, catalog.model(model).context_length)
        try:
            plans = arithmetic.plan(model, cluster, SEQUENCES, sequence_length=length, top=1, tokens=1.0)
        except InfeasibleError as error:
            return str(error).rpartition("Remedy: ")[2]
        return plans.best[0]

    def words(of: Callable[[Prediction], str]) -> Callable[[str, str, int], str]:
        def slot(model: str, instance: str, number: int) -> str:
            one = found(model, instance, number)
            return NOTHING if isinstance(one, str) else of(one)

        return slot

    def days(model: str, instance: str, number: int, tokens: float) -> str:
        one = found(model, instance, number)
        if isinstance(one, str) or one.run_days is None:
            return "no time at all"
        return quantities.duration(one.run_days * tokens * quantities.DAY)

    def cost(model: str, instance: str, number: int, tokens: float) -> str:
        one = found(model, instance, number)
        if isinstance(one, str):
            return "no price"
        return "an unknown sum (no known price)" if one.run_usd is None else quantities.money(one.run_usd * tokens)

    def layout(model: str, instance: str, number: int) -> str:
        one = found(model, instance, number)
        return f"{NOTHING}; {one.rstrip('.')}" if isinstance(one, str) else str(one.layout)

    choice = ("model", "instance", "chips")
    return Explorer(
        id="plan-explorer",
        title="Plan explorer",
        axes=(
            Axis("model", "Model", tuple((name, catalog.model(name).title) for name in models), models[0]),
            Axis("instance", "Instance", tuple((name, _instance_words(name)) for name in instances), instances[0]),
            Axis("chips", "Chips", tuple((number, f"{number:,}") for number in chips), chips[0]),
            Axis("tokens", "Training tokens", tuple((n, quantities.count(n)) for n in TOKENS), TOKENS[1]),
        ),
        slots=(
            Slot("layout", choice, layout),
            Slot("days", (*choice, "tokens"), days),
            Slot("cost", (*choice, "tokens"), cost),
            Slot("memory", choice, words(_memory)),
            Slot("step", choice, words(lambda one: quantities.duration(one.time.seconds))),
            Slot("mfu", choice, words(lambda one: f"{one.mfu:.1%}")),
            Slot("lost", choice, words(_lost)),
            Slot("shares", ("instance",), _shares),
        ),
        answer="{model} on {chips} chips of {instance}: {layout}. {tokens} tokens take {days}, for {cost}.",
        rows=(
            ("Fullest chip", "memory"),
            ("One step", "step"),
            ("MFU", "mfu"),
            ("Of the step", "lost"),
            ("Shares of the chip's peaks", "shares"),
        ),
        note=f"{SEQUENCES:,} sequences of at most {SEQUENCE_LENGTH:,} tokens in each step; layout searched freely; "
        "on-demand list price; failures at Llama 3's rate and checkpoints included.",
    )


def _instance_words(name: str) -> str:
    spec = catalog.instance(name)
    return f"{name} ({spec.accelerators} {spec.accelerator_spec.title})"


def _memory(one: Prediction) -> str:
    return f"{quantities.size(one.memory.total_bytes)} of {quantities.size(one.memory.limit_bytes)}"


def _lost(one: Prediction) -> str:
    exposed = one.time.exposed_seconds / one.time.seconds
    return f"bubble {one.time.bubble_fraction:.1%}, exposed communication {exposed:.1%}"


def _shares(instance: str) -> str:
    known = arithmetic.efficiency_of(catalog.instance(instance).accelerator_spec).calibrated
    return "set on published runs" if known else "borrowed from the H100: take time and cost as rough"
