"""Time and money of a training run: FLOPs over achieved rate, times a price."""

from dataclasses import dataclass

from course_lib.arithmetic.errors import (
    ArithmeticInputError,
    as_config,
    check_count,
    check_fraction,
    check_positive,
)
from course_lib.arithmetic.training_flops import Method, training_flops
from course_lib.catalog import Instance, ModelConfig, UnknownPriceError
from course_lib.catalog import instance as find_instance

SECONDS_PER_HOUR = 3_600
HOURS_PER_DAY = 24


@dataclass(frozen=True)
class RunCost:
    """What one training run takes.

    Args:
        seconds, hours, days: wall time, with no failure and no waiting for capacity.
        instance_hours: hours billed, all instances together.
        accelerator_hours: the same per chip.
        usd: price of the run.
        usd_per_hour: price of one instance for one hour.
        usd_per_million_tokens: usd / (tokens / 1e6).
        tokens_per_usd: tokens / usd.
        tokens_per_second: of all instances together.
        model_flops: FLOPs that the mathematics needs.
        flops_per_s_per_accelerator: achieved rate of one chip: mfu * peak.
        model, instance: names.
        instances, accelerators: how many machines, and how many chips in them.
        mfu: the fraction of peak that was assumed.
    """

    seconds: float
    hours: float
    days: float
    instance_hours: float
    accelerator_hours: float
    usd: float
    usd_per_hour: float
    usd_per_million_tokens: float
    tokens_per_usd: float
    tokens_per_second: float
    model_flops: float
    flops_per_s_per_accelerator: float
    model: str
    instance: str
    instances: int
    accelerators: int
    mfu: float


def run_cost(
    config: ModelConfig | str,
    tokens: float,
    instance: Instance | str,
    *,
    instances: int = 1,
    mfu: float = 0.4,
    dtype: str = "bf16",
    purchase: str = "on_demand",
    region: str | None = None,
    sequence_length: int | None = None,
    usd_per_hour: float | None = None,
    method: Method = "6nd",
) -> RunCost:
    """Time and cost of training a model on a number of tokens.

    Args:
        config: a shape, or the name of one in the catalog.
        tokens: tokens to train on.
        instance: an instance type, or its name.
        instances: how many of them.
        mfu: share of peak that the run reaches; about 0.3 to 0.5 is usual.
        dtype: number format whose dense peak counts.
        purchase: "on_demand", "spot" or "capacity_block".
        region: where; None takes the catalog's first choice.
        sequence_length: adds attention's FLOPs to 6ND when given.
        usd_per_hour: your own price of one instance, instead of the catalog's.
        method: how FLOPs are counted; see `training_flops`.

    Returns:
        Time, hours, money and rates.

    Raises:
        ArithmeticInputError: for a number out of range (mfu=40 is no fraction), or a price that nobody knows.
        CatalogError: (a ValueError) for a name or dtype that the catalog does not hold.

    Source: Kaplan et al. 2020 (arXiv:2001.08361) C = 6ND; Chowdhery et al. 2022 (arXiv:2204.02311) for MFU.
    """
    c = as_config(config)
    check_positive("tokens", tokens, "give the tokens to train on, e.g. 15e12")
    check_count("instances", instances)
    check_fraction("mfu", mfu)
    spec = _as_instance(instance)
    price = _price(spec, purchase, region) if usd_per_hour is None else usd_per_hour
    check_positive("usd_per_hour", price, "give the price of one instance for one hour")
    flops = training_flops(c, tokens, sequence_length=sequence_length, method=method).model_flops
    accelerators = instances * spec.accelerators
    achieved = mfu * spec.accelerator_spec.peak_flops(dtype)
    seconds = flops / (accelerators * achieved)
    hours = seconds / SECONDS_PER_HOUR
    usd = hours * instances * price
    return RunCost(
        seconds=seconds,
        hours=hours,
        days=hours / HOURS_PER_DAY,
        instance_hours=hours * instances,
        accelerator_hours=hours * accelerators,
        usd=usd,
        usd_per_hour=price,
        usd_per_million_tokens=usd / tokens * 1e6,
        tokens_per_usd=tokens / usd,
        tokens_per_second=tokens / seconds,
        model_flops=flops,
        flops_per_s_per_accelerator=achieved,
        model=c.name,
        instance=spec.name,
        instances=instances,
        accelerators=accelerators,
        mfu=mfu,
    )


def _as_instance(instance: Instance | str) -> Instance:
    if isinstance(instance, Instance):
        return instance
    if isinstance(instance, str):
        return find_instance(instance)
    raise ArithmeticInputError.of(
        "instance", instance, "is neither an Instance nor a name", "pass instance('p5.48xlarge') or 'p5.48xlarge'"
    )


def _price(spec: Instance, purchase: str, region: str | None) -> float:
    try:
        return spec.usd_per_hour(purchase, region)
    except UnknownPriceError as unknown:
        raise ArithmeticInputError(
            f"{unknown} Here: run_cost(..., usd_per_hour=<price of one {spec.name} for one hour>)."
        ) from unknown
