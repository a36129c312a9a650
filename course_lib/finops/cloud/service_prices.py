"""Prices of what an account pays for beside instances: the few for which there is a dated source.

They are us-east-1's and stand for every region here, as the catalog's on-demand prices do where a region has none of
its own. Left out for want of a dated source, and so free of charge in the practice account: volumes other than gp3
(also moto's own root disks, which are gp2), S3, CloudWatch's logs, metrics and alarms, snapshots, NAT gateways, data
transfer, and the public addresses that instances get by themselves.
"""

from __future__ import annotations

import csv
import datetime
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

FILE = "service_prices.csv"


@dataclass(frozen=True)
class ServicePrice:
    """What one unit of something costs.

    Attributes:
        item: such as "gp3" or "public-ipv4".
        unit: "GB-Mo" for a gibibyte kept for a month, "Hrs" for an hour.
        region: for which the source says so.
        usd: for one unit.
        source: where it was read.
        date: the day on which the source said so.
        note: what a reader must know.
    """

    item: str
    unit: str
    region: str
    usd: float
    source: str
    date: datetime.date
    note: str


@lru_cache
def service_prices() -> dict[str, ServicePrice]:
    """All known prices, by item."""
    text = files("course_lib.catalog").joinpath("data", FILE).read_text(encoding="utf-8")
    rows = (
        ServicePrice(**{**row, "usd": float(row["usd"]), "date": datetime.date.fromisoformat(row["date"])})  # type: ignore[arg-type]
        for row in csv.DictReader(text.splitlines())
    )
    return {row.item: row for row in rows}
