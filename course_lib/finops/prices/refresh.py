"""Today's prices of some instances, asked of AWS and kept in a price file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from course_lib.catalog import Price
from course_lib.finops.aws import Clients, aws_now, check_regions
from course_lib.finops.prices.blocks import ask_blocks
from course_lib.finops.prices.errors import PriceError, PriceUnknownError
from course_lib.finops.prices.live import ask_on_demand, ask_spot
from course_lib.finops.prices.quotes import Quote

PURCHASES = ("on_demand", "spot")  # asked for unless told otherwise
# way of purchase → where its prices are read, for a row without one
SOURCES = {
    "on_demand": "AWS Price List",
    "spot": "DescribeSpotPriceHistory",
    "capacity_block": "DescribeCapacityBlockOfferings",
}


@dataclass(frozen=True)
class Fetched:
    """Prices that AWS gave, as rows of a price file.

    Args:
        rows: one for each instance, region and way of purchase; one without a price says in its note why.
    """

    rows: tuple[Price, ...]

    @property
    def unknown(self) -> tuple[Price, ...]:
        """The rows without a price."""
        return tuple(row for row in self.rows if row.usd_per_hour is None)


def fetch_prices(
    account: Clients,
    names: Sequence[str],
    regions: Sequence[str],
    purchases: Sequence[str] = PURCHASES,
    *,
    days: int = 1,
) -> Fetched:
    """Ask for the prices of instance types in regions; writes nothing.

    Of a region's spot prices the cheapest zone's is kept, with the zone and the others' range in the note; of its
    Capacity Blocks the cheapest offering for one instance.

    Args:
        account: real or practice.
        names: instance types as AWS writes them.
        regions: where.
        purchases: some of "on_demand", "spot" and "capacity_block".
        days: length of the Capacity Block.

    Returns:
        The rows. A price that AWS doesn't have becomes a row without one, never a guess.

    Raises:
        PriceError: when nothing is asked for, or a way of purchase or a block's length is unknown.
        FinopsError: for a region that is none, or in which a market is asked for and that is not enabled.
        AwsError: when a call fails; then there are no rows at all, so that no file ends up half new.
    """
    for name, given in (("instances", names), ("regions", regions), ("purchases", purchases)):
        if not given:
            raise PriceError.of(name, list(given), "is empty", "name at least one")
    if wrong := set(purchases) - set(SOURCES):
        raise PriceError.of("purchases", sorted(wrong), f"is none of {', '.join(SOURCES)}", "ask for these")
    check_regions(account, regions, asked_there=set(purchases) != {"on_demand"})
    today = aws_now(account).date()
    ask: dict[str, Callable[[str, str], Quote]] = {
        "on_demand": lambda name, region: ask_on_demand(account, name, region),
        "spot": lambda name, region: _cheapest(ask_spot(account, name, region)),
        "capacity_block": lambda name, region: ask_blocks(account, name, region, days=days)[0].quote(),
    }
    rows = []
    for name in dict.fromkeys(names):
        for region in dict.fromkeys(regions):
            for purchase in dict.fromkeys(purchases):
                try:
                    quote = ask[purchase](name, region)
                except PriceUnknownError as error:
                    source = SOURCES[purchase]
                    rows.append(Price(name, region, purchase, source, today, note=str(error)))  # type: ignore[arg-type]
                    continue
                usd = float(quote.usd_per_hour)
                rows.append(Price(name, region, purchase, quote.source, today, usd, note=quote.note))  # type: ignore[arg-type]
    return Fetched(tuple(rows))


def _cheapest(quotes: Sequence[Quote]) -> Quote:
    first, last = quotes[0], quotes[-1]
    note = f"cheapest of {len(quotes)} zones: {first.zone}; the dearest, {last.zone}, {last.usd_per_hour}"
    return Quote(**{**vars(first), "note": note})
