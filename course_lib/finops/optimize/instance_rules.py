"""Recommendations about running instances: idle, too large, a cheaper or newer type, spot.

Each rule takes a machine and what is known about it and gives a recommendation or None. Savings are list prices times
730 hours. Sources: `arithmetic.run_cost` for the cost of the same work, `arithmetic.time_per_useful_time` for spot.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import ceil

from course_lib.arithmetic import checkpoint_interval, run_cost, spot_break_even, time_per_useful_time
from course_lib.catalog import Instance, instances
from course_lib.finops.optimize.advice import Kind, Recommendation
from course_lib.finops.optimize.demands import HOURS_PER_MONTH
from course_lib.finops.optimize.machines import Machine, price_of, price_row, spec_of
from course_lib.finops.optimize.settings import AdviceSettings
from course_lib.finops.optimize.utilization import Usage

# Family → the one that followed it with the same vendor and purpose.
# https://aws.amazon.com/ec2/instance-types/, "Accelerated Computing", and https://aws.amazon.com/ec2/previous-generation/
SUCCESSORS = {"p2": "p5", "p3": "p5", "p3dn": "p4d", "g3": "g6", "g4dn": "g6", "inf1": "inf2", "trn1": "trn2"}
FOR_INFERENCE = {"inferentia2"}  # https://aws.amazon.com/ai/machine-learning/inferentia/: no chip to train on
INTERRUPTIBLE = "interruptible"  # a tag: `true` says that its job can be interrupted
PROTECTED_RISK = "it is tagged protected: ask its owner first; "


def idle(machine: Machine, usage: Sequence[Usage], settings: AdviceSettings) -> Recommendation | None:
    """Nothing that was measured shows work."""
    if not usage or any(
        use.mean >= settings.idle_mean or use.highest >= settings.idle_highest or not enough(use, settings)
        for use in usage
    ):
        return None
    blind = "" if any(use.metric.of_chips for use in usage) else "only the CPU was measured: look at its chips first; "
    command = f"aws ec2 stop-instances --region {machine.region} --instance-ids {machine.id}"
    risk = f"{blind}what is in memory and on instance store is lost; its volumes go on costing money"
    return _about(machine, "idle", "stop it", _told(usage), machine.usd_per_hour, risk, command)


def oversized(machine: Machine, usage: Sequence[Usage], settings: AdviceSettings) -> Recommendation | None:
    """Its chips would fit into a smaller instance of the same chip, even at their busiest moment."""
    of_chips = [use for use in usage if use.metric.of_chips and enough(use, settings)]
    if not of_chips or machine.spec is None or machine.usd_per_hour is None or machine.spot:
        return None
    busiest = max(use.highest for use in of_chips)
    needed = max(ceil(machine.spec.accelerators * busiest / settings.fill), 1)
    found = [
        (price, spec)
        for spec in _catalog()
        if spec.accelerator == machine.spec.accelerator
        and needed <= spec.accelerators < machine.spec.accelerators
        and (price := price_of(spec, machine.region)) is not None
        and price < machine.usd_per_hour
    ]
    if not found:
        return None
    price, spec = min(found, key=lambda one: (one[0], one[1].name))
    evidence = f"{_told(of_chips)}; {needed} of {machine.spec.accelerators} chips are enough"
    risk = "less host memory and network, and peaks between the data points; test the job on it first"
    what = f"use {spec.name} with {spec.accelerators} of its chips"
    return _about(machine, "oversized", what, evidence, machine.usd_per_hour - price, risk, _resize(machine, spec.name))


def cheaper_work(machine: Machine, settings: AdviceSettings) -> Recommendation | None:
    """Another type trains for less at the same share of peak; not dearer by the hour, with as much device memory."""
    now = cost_of_work(machine.spec, machine.region, settings)
    if now is None or machine.spec is None or machine.usd_per_hour is None or machine.spot:
        return None
    family, memory = machine.spec.name.partition(".")[0], _memory(machine.spec)
    found = [
        (usd, spec)
        for spec in _catalog()
        if _memory(spec) >= memory
        and spec.accelerator not in FOR_INFERENCE
        and spec.name.partition(".")[0] != SUCCESSORS.get(family)  # `old_generation` tells of those
        and (price_of(spec, machine.region) or machine.usd_per_hour + 1) <= machine.usd_per_hour
        and (usd := cost_of_work(spec, machine.region, settings)) is not None
    ]
    usd, spec = min(found, key=lambda one: (one[0], one[1].name), default=(now, machine.spec))
    if 1 - usd / now < settings.least_saving:
        return None
    other = spec.accelerator_spec.vendor != machine.spec.accelerator_spec.vendor
    risk = "its MFU for your model is assumed, not measured" + (
        ", and another vendor's software stack" if other else ""
    )
    saved, evidence = machine.usd_per_hour * (1 - usd / now), _same_work(machine, spec, now, usd, settings)
    return _about(
        machine, "better_instance", f"train on {spec.name}", evidence, saved, risk, _launch(machine, spec.name)
    )


def old_generation(machine: Machine, settings: AdviceSettings) -> Recommendation | None:
    """A family that has a successor; with a saving only where both prices are known."""
    family = machine.instance_type.partition(".")[0]
    successor = SUCCESSORS.get(family)
    if successor is None or machine.spot:
        return None
    chips = machine.spec.accelerators if machine.spec else 1
    newer = [one for one in _catalog() if one.name.partition(".")[0] == successor]
    alike = [one for one in newer if one.accelerators <= chips] or newer
    spec = max(alike, key=lambda one: (one.accelerators, one.name), default=None)
    now = cost_of_work(machine.spec, machine.region, settings)
    usd = cost_of_work(spec, machine.region, settings)
    risk = "drivers and compiled programs are made for the old chip; build and test again"
    name, saved = spec.name if spec else f"{successor}.*", None
    if now is None or usd is None or spec is None or machine.usd_per_hour is None:
        evidence = f"{family} has a successor, {successor}; no price for {name} is known here, so ask for one"
    elif usd >= now:
        return None  # newer, and not cheaper for the work: no reason to change
    else:
        saved = machine.usd_per_hour * (1 - usd / now)
        evidence = f"{family} has a successor, {successor}; {_same_work(machine, spec, now, usd, settings)}"
    return _about(machine, "old_generation", f"move to {name}", evidence, saved, risk, _launch(machine, name))


def spot_able(machine: Machine, spot_usd_per_hour: float | None, settings: AdviceSettings) -> Recommendation | None:
    """On demand, and its tags say that its job can be interrupted."""
    said = machine.tags.get(INTERRUPTIBLE, "").strip().lower() == "true"
    if machine.spot or not said or machine.usd_per_hour is None or spot_usd_per_hour is None:
        return None
    c, m, r = settings.checkpoint_seconds, settings.interruption_seconds, settings.restart_seconds
    interval = float(checkpoint_interval(c, m, method="daly"))
    slower = time_per_useful_time(interval, c, m, restart_seconds=r)
    share = spot_usd_per_hour / machine.usd_per_hour
    if share >= spot_break_even(slower):
        return None
    evidence = (
        f"tagged {INTERRUPTIBLE}; spot is at {spot_usd_per_hour:,.4f} of {machine.usd_per_hour:,.4f} USD/h; "
        f"interrupted every {m / 3600:g} h on average the work takes {slower:.3f} times as long"
    )
    risk = (
        f"an end with two minutes' notice, and no capacity for a while; needs checkpoints every {interval / 60:.0f} min"
    )
    command = f"{_launch(machine, machine.instance_type)} --instance-market-options MarketType=spot"
    saved = machine.usd_per_hour - spot_usd_per_hour * slower
    return _about(machine, "spot_able", "run it on spot", evidence, saved, risk, command)


def enough(use: Usage, settings: AdviceSettings) -> bool:
    """Whether a metric has data for enough of the time."""
    return use.hours >= settings.measured * settings.days * 24


def cost_of_work(spec: Instance | None, region: str, settings: AdviceSettings) -> float | None:
    """USD for the settings' training on a type; None without a price or a peak rate."""
    price = price_of(spec, region)
    if spec is None or price is None:
        return None
    peak = spec.accelerator_spec.peak_tflops
    dtype = next((name for name in ("bf16", "fp16") if name in peak), None)
    if dtype is None:
        return None
    work = run_cost(settings.model, settings.tokens, spec, mfu=settings.mfu, dtype=dtype, usd_per_hour=price)
    return work.usd


@cache
def _catalog() -> tuple[Instance, ...]:
    return tuple(spec for name in sorted(set(instances()["name"])) if (spec := spec_of(name)) is not None)


def _memory(spec: Instance) -> float:
    return spec.accelerators * spec.accelerator_spec.memory_bytes


def _told(usage: Sequence[Usage]) -> str:
    return "; ".join(
        f"{use.metric.name} {use.mean:.1%} on average and {use.highest:.1%} at most in {use.hours} hours"
        for use in usage
    )


def _same_work(machine: Machine, spec: Instance, now: float, usd: float, settings: AdviceSettings) -> str:
    row = price_row(spec, machine.region)
    where = f" (price of {row.region}, {row.date})" if row is not None and row.region != machine.region else ""
    return (
        f"{settings.tokens:.0e} tokens of {settings.model} at MFU {settings.mfu:g} cost {now:,.2f} USD on "
        f"{machine.instance_type} and {usd:,.2f} USD on {spec.name}{where}"
    )


def _launch(machine: Machine, name: str) -> str:
    return (
        f"aws ec2 run-instances --region {machine.region} --instance-type {name} "
        "--launch-template LaunchTemplateName=YOURS"
    )


def _resize(machine: Machine, name: str) -> str:
    where = f"--region {machine.region} --instance-id"
    return (
        f"aws ec2 stop-instances {where}s {machine.id} && aws ec2 wait instance-stopped {where}s {machine.id} && "
        f"aws ec2 modify-instance-attribute {where} {machine.id} --instance-type Value={name} && "
        f"aws ec2 start-instances {where}s {machine.id}"
    )


def _about(
    machine: Machine, kind: Kind, what: str, evidence: str, usd_per_hour: float | None, risk: str, command: str
) -> Recommendation:
    return Recommendation(
        kind,
        machine.id,
        machine.region,
        what,
        evidence,
        None if usd_per_hour is None else usd_per_hour * HOURS_PER_MONTH,
        (PROTECTED_RISK if machine.protected else "") + risk,
        command,
        machine.tags.get("owner", ""),
        machine.tags.get("project", ""),
    )
