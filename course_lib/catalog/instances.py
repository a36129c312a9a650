"""Machines that can be rented: how many accelerators, how much host, and through `prices.csv` what they cost."""

from collections.abc import Sequence
from functools import cache
from typing import Literal, get_args

from pydantic.dataclasses import dataclass

from course_lib.catalog.accelerators import Accelerator, accelerator_table
from course_lib.catalog.errors import CatalogError, UnknownPriceError
from course_lib.catalog.loader import load_csv
from course_lib.catalog.lookup import find, index_names
from course_lib.catalog.prices import FILE as PRICES_FILE
from course_lib.catalog.prices import KEY as PRICES_KEY
from course_lib.catalog.prices import Price, Purchase, describe_unknown, newest
from course_lib.catalog.schema import ROW, Count, Date, Positive, Text

FILE = "instances.csv"


@dataclass(frozen=True, config=ROW)
class Instance:
    """One instance type.

    Args:
        name: as the provider spells it, e.g. `p5.48xlarge`.
        provider: `aws` so far.
        accelerator: key of the accelerator.
        accelerators: how many of them.
        vcpus: virtual processors of the host.
        memory_gib: host memory, 2**30 bytes.
        source: where the row was read.
        date: the day on which the source said so.
        network_gbit_per_s: sustained network bandwidth of all cards together, 1e9 bit per second; where the provider
            says "up to", the baseline, with the burst in `notes`.
        notes: what a reader must know.
    """

    name: Text
    provider: Literal["aws"]
    accelerator: Text
    accelerators: Count
    vcpus: Count
    memory_gib: Positive
    source: Text
    date: Date
    network_gbit_per_s: Positive | None = None
    notes: str = ""

    @property
    def accelerator_spec(self) -> Accelerator:
        """The accelerator's own row."""
        return accelerator_table()[self.accelerator]

    def price(self, purchase: str = "on_demand", region: str | None = None) -> Price | None:
        """The newest observation of this instance's price.

        Args:
            purchase: `on_demand`, `spot` or `capacity_block`.
            region: a region; None prefers us-east-1, else the newest known price in any region (the row says which).

        Returns:
            The row, whose `usd_per_hour` is None where the price is unknown; None where there is no row.

        Raises:
            CatalogError: when `purchase` is no way of purchase.
        """
        if purchase not in get_args(Purchase):
            raise CatalogError(
                f"purchase {purchase!r} is not known. Remedy: pass one of {', '.join(get_args(Purchase))}."
            )
        return newest((p for p in self.prices() if p.purchase == purchase), region)

    def usd_per_hour(self, purchase: str = "on_demand", region: str | None = None) -> float:
        """What the whole instance costs per hour, newest observation.

        Args:
            purchase: `on_demand`, `spot` or `capacity_block`.
            region: as for `price`.

        Returns:
            US dollars per hour.

        Raises:
            UnknownPriceError: saying why the price is unknown and what to do.
        """
        row = self.price(purchase, region)
        if row is None or row.usd_per_hour is None:
            raise UnknownPriceError(describe_unknown(self.name, purchase, region, row, self.prices()))
        return row.usd_per_hour

    def prices(self) -> Sequence[Price]:
        """Every observation of this instance's price."""
        return _prices_by_instance().get(self.name, ())


@cache
def instance_table() -> dict[str, Instance]:
    """name → instance, read once."""
    rows = load_csv(FILE, Instance, references={"accelerator": accelerator_table()})
    return {row.name: row for row in rows}


@cache
def price_rows() -> tuple[Price, ...]:
    """Every observation, in the order of the file, read once."""
    return tuple(load_csv(PRICES_FILE, Price, key=PRICES_KEY, references={"instance": instance_table()}))


@cache
def _prices_by_instance() -> dict[str, tuple[Price, ...]]:
    return {name: tuple(p for p in price_rows() if p.instance == name) for name in instance_table()}


@cache
def _index() -> dict[str, Instance]:
    return index_names("instance", instance_table(), {})


def instance(name: str) -> Instance:
    """Look an instance type up by name.

    Args:
        name: e.g. `p5.48xlarge`; case, space, dash, underscore and dot do not matter.

    Returns:
        The instance type.

    Raises:
        UnknownNameError: with the nearest names.
    """
    return find("instance", name, _index(), instance_table())
