"""The same work on different instances: time, money and, where a price is missing, that it is missing."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from course_lib.arithmetic import RunCost, run_cost
from course_lib.catalog import Instance, instances
from course_lib.finops.prices.amounts import exact
from course_lib.finops.prices.errors import PriceError, PriceUnknownError, check_fleet
from course_lib.finops.prices.price_files import PriceFile
from course_lib.finops.prices.quotes import Quote, canonical, price_of


@dataclass(frozen=True)
class Alternative:
    """One way to do the work.

    Args:
        instance: name of the type.
        instances: how many.
        accelerators: chips in them.
        hours: how long it takes; None where the type can't do it.
        usd: what it costs; None where the price is unknown or the type can't do it.
        usd_per_million_tokens: usd over the tokens.
        quote: the price with source and date, or None.
        why_not: "" or why there is no price or no time.
    """

    instance: str
    instances: int
    accelerators: int
    hours: float | None
    usd: Decimal | None
    usd_per_million_tokens: Decimal | None
    quote: Quote | None
    why_not: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON: amounts as text."""
        told = {name: str(value) if isinstance(value, Decimal) else value for name, value in vars(self).items()}
        return {**told, "quote": self.quote.as_dict() if self.quote else None}


def compare_instances(
    model: str,
    tokens: float,
    names: Sequence[str] | None = None,
    *,
    count: int = 1,
    mfu: float | Mapping[str, float] = 0.4,
    dtype: str = "bf16",
    purchase: str = "on_demand",
    region: str | None = None,
    prices: PriceFile | None = None,
    today: datetime.date | None = None,
) -> tuple[Alternative, ...]:
    """The same training on each of several instance types, the cheapest first.

    Args:
        model: name of a model in the catalog.
        tokens: tokens to train on.
        names: instance types; None takes all of the catalog.
        count: how many instances of each type.
        mfu: share of peak that the run reaches: one for all, or by name of the type, which is fairer, since it is
            measured and differs. A mapping needs each of the names.
        dtype: number format.
        purchase, region, prices, today: as for `price_of`.

    Returns:
        One row for each type. Those with an unknown price come after the others, the fastest first; then those whose
        chip has no peak in `dtype`.

    Raises:
        PriceError: for an unknown instance, or a mapping without it.
        ArithmeticInputError, CatalogError: for a model, tokens, an mfu or a count out of range.
    """
    machines = [canonical(name) for name in (instances()["name"] if names is None else names)]
    if not machines:
        raise PriceError.of("names", [], "is empty", "name at least one instance, or None for all")
    check_fleet(count)
    asked: dict[str, Any] = {"purchase": purchase, "region": region, "prices": prices, "today": today}
    found = []
    for machine in {one.name: one for one in machines}.values():
        share = _mfu(mfu, machine.name)
        if dtype not in machine.accelerator_spec.peak_tflops:
            why = f"{machine.accelerator} has no {dtype} peak"
            found.append(_row(machine, count, None, None, why))
            continue
        # The price does not change the hours; the amount is made of the quote's own digits below.
        work = run_cost(model, tokens, machine, instances=count, mfu=share, dtype=dtype, usd_per_hour=1.0)
        try:
            found.append(_row(machine, count, work, price_of(machine.name, **asked), "", tokens))
        except PriceUnknownError as error:
            found.append(_row(machine, count, work, None, str(error)))
    return tuple(sorted(found, key=_order))


def _mfu(given: float | Mapping[str, float], name: str) -> float:
    if not isinstance(given, Mapping):
        return given
    if name not in given:
        raise PriceError.of("mfu", dict(given), f"says nothing of {name}", "give each instance's own, or one number")
    return given[name]


def _row(
    machine: Instance, count: int, work: RunCost | None, quote: Quote | None, why: str, tokens: float = 1.0
) -> Alternative:
    usd = per_million = None
    if work is not None and quote is not None:
        usd = exact("hours", work.hours) * count * quote.usd_per_hour
        per_million = usd / Decimal(str(tokens)) * 1_000_000
    hours = None if work is None else work.hours
    return Alternative(machine.name, count, count * machine.accelerators, hours, usd, per_million, quote, why)


def _order(row: Alternative) -> tuple[bool, bool, Decimal, float, str]:
    return row.usd is None, row.hours is None, row.usd or Decimal(), row.hours or 0.0, row.instance
