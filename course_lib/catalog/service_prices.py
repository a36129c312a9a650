"""Prices of what an account pays for beside instances: the few for which there is a dated source.

They are us-east-1's. Left out for want of a dated source, and so free of charge in the practice account, where the
prices stand for every region: volumes other than gp3 (also moto's own root disks, which are gp2), S3, CloudWatch's
logs, metrics and alarms, snapshots, NAT gateways and data transfer. A public address costs the same whether it was
allocated or came with an instance; the practice account bills the allocated ones only, so that those which a subnet
assigns to its instances by itself are missing from its bill.
"""

from functools import cache

from pydantic.dataclasses import dataclass

from course_lib.catalog.loader import load_csv
from course_lib.catalog.schema import ROW, Date, Positive, Text

FILE = "service_prices.csv"
KEY = ("item", "region", "date")


@dataclass(frozen=True, config=ROW)
class ServicePrice:
    """What one unit of something costs.

    Args:
        item: such as "gp3" or "public-ipv4".
        unit: "GB-Mo" for a gibibyte kept for a month, "Hrs" for an hour.
        region: for which the source says so.
        usd: for one unit.
        source: where it was read.
        date: the day on which the source said so.
        note: what a reader must know.
    """

    item: Text
    unit: Text
    region: Text
    usd: Positive
    source: Text
    date: Date
    note: str = ""


@cache
def service_prices() -> tuple[ServicePrice, ...]:
    """Every known price, in the order of the file."""
    return tuple(load_csv(FILE, ServicePrice, key=KEY))
