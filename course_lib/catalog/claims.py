"""A widely copied comparison of accelerators, claim by claim, beside what the sources of this catalog say.

The official figure is never typed a second time: each claim points at the row of the catalog that answers it.
"""

from functools import cache
from typing import Literal

from pydantic.dataclasses import dataclass

from course_lib.catalog.accelerators import accelerator
from course_lib.catalog.errors import CatalogError, UnknownPriceError
from course_lib.catalog.instances import instance
from course_lib.catalog.loader import load_csv
from course_lib.catalog.schema import ROW, Date, Text

FILE = "claims.csv"
KEY = ("item", "quantity", "unit")
AGREEMENT = 0.03  # rounding in the copied table: 1.6 for 1.555 TB/s, 1,000 for 989 TFLOPS

Verdict = Literal["agrees", "wrong", "stale", "not confirmed"]


@dataclass(frozen=True, config=ROW)
class Official:
    """What the catalog's own row says: value, source, date."""

    value: float
    source: str
    date: Date


@dataclass(frozen=True, config=ROW)
class Claim:
    """One cell of the copied table.

    Args:
        item: accelerator, instance or benchmark that the claim is about.
        quantity: what is claimed, e.g. `FP32 peak`.
        unit: unit of the claimed number.
        claimed: the number as it circulates.
        verdict: `agrees` (within 3 %: rounding), `wrong`, `stale` (was true once) or `not confirmed` (no dated source).
        why: one sentence for the reader.
        source: where the claim circulates.
        date: the day on which it was read.
        fact: the row that answers it, as `accelerator/h100/fp16`, `accelerator/h100/memory`,
            `instance/p5.48xlarge/accelerators`, `price/p5.48xlarge/us-east-1`,
            `saving/trn2.48xlarge@us-east-2/p5.48xlarge@us-east-1` or `cost/p5.48xlarge@us-east-1/336` (hours);
            None where nothing official exists.
    """

    item: Text
    quantity: Text
    unit: Text
    claimed: float
    verdict: Verdict
    why: Text
    source: Text
    date: Date
    fact: str | None = None

    @property
    def official(self) -> Official | None:
        """The official figure with its source and date, or None where there is none.

        Raises:
            CatalogError: when `fact` points nowhere.
        """
        return resolve_fact(self.fact) if self.fact else None


def resolve_fact(fact: str) -> Official:
    """Follow a claim's pointer into the catalog.

    Args:
        fact: see `Claim`.

    Returns:
        Value in the claim's unit, source and date.

    Raises:
        CatalogError: when the pointer leads nowhere.
    """
    match fact.split("/"):
        case ["accelerator", name, "memory"]:
            chip = accelerator(name)
            return Official(chip.memory, chip.source, chip.date)
        case ["accelerator", name, "bandwidth"]:
            chip = accelerator(name)
            return Official(chip.memory_bandwidth_bytes_per_s / 1e12, chip.source, chip.date)
        case ["accelerator", name, dtype]:
            chip = accelerator(name)
            return Official(chip.peak_flops(dtype) / 1e12, chip.source, chip.date)
        case ["instance", name, "accelerators"]:
            machine = instance(name)
            return Official(machine.accelerators, machine.source, machine.date)
        case ["price", name, region]:
            return _price(f"{name}@{region}")
        case ["saving", cheap, dear]:
            one, other = _price(cheap), _price(dear)
            source = f"{one.source}; {other.source}"
            return Official(1 - one.value / other.value, source, min(one.date, other.date))
        case ["cost", place, hours]:
            price = _price(place)
            return Official(price.value * float(hours), price.source, price.date)
    raise CatalogError(
        f"{FILE}: fact {fact!r} has no known form. Remedy: write it as the docstring of course_lib.catalog.Claim shows."
    )


def _price(place: str) -> Official:
    name, _, region = place.partition("@")
    row = instance(name).price("on_demand", region)
    if row is None or row.usd_per_hour is None:
        raise UnknownPriceError(
            f"{FILE}: fact names the on-demand price of {name!r} in {region!r}, which the catalog does not know. "
            "Remedy: leave the fact empty and the verdict 'not confirmed'."
        )
    return Official(row.usd_per_hour, row.source, row.date)


@cache
def claim_rows() -> tuple[Claim, ...]:
    """Every claim, in the order of the file, read once."""
    return tuple(load_csv(FILE, Claim, key=KEY))
