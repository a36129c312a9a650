"""The command `course cost refresh`: today's prices, asked of AWS, into a file.

Only click is imported here at the top, so that `--help` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from course_lib.cli_values import OUT_FILE

if TYPE_CHECKING:
    from course_lib.finops.prices import Fetched


@click.command()
@click.argument("path", metavar="FILE", type=OUT_FILE)
@click.argument("instance", nargs=-1, required=True)
@click.option("--region", "regions", multiple=True, default=("us-east-1",), show_default=True, help="May be repeated.")
@click.option(
    "--purchase",
    "purchases",
    multiple=True,
    type=click.Choice(["on_demand", "spot", "capacity_block"]),
    help="May be repeated.  [default: on_demand and spot]",
)
@click.option("--days", default=1, show_default=True, help="Length of a Capacity Block: 1 to 14, or weeks up to 182.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def refresh(
    path: Path,
    instance: tuple[str, ...],
    regions: tuple[str, ...],
    purchases: tuple[str, ...],
    days: int,
    as_json: bool,
) -> None:
    """Ask AWS for the prices of INSTANCEs and write them to FILE, which other commands read with --prices.

    The account is the one that boto3 finds. It needs ec2:DescribeRegions, and for each way of purchase
    pricing:GetProducts, ec2:DescribeSpotPriceHistory or ec2:DescribeCapacityBlockOfferings; nothing is bought.

    FILE is written whole or not at all; the catalog is never changed. A price that AWS does not have stays unknown,
    with its reason in FILE, and the command exits with 1; when AWS has none of them, FILE stays as it was.

    \b
    Example: course cost refresh prices.csv p5.48xlarge trn1.32xlarge --region us-east-1
    Example: course cost refresh blocks.csv p5.48xlarge --purchase capacity_block --days 7 --region us-east-2
    """
    from course_lib.cli import print_json, user_errors
    from course_lib.finops.aws import RealAccount
    from course_lib.finops.prices import fetch_prices, write_price_file

    with user_errors():
        fetched = fetch_prices(RealAccount(), instance, regions, purchases or ("on_demand", "spot"), days=days)
        found = len(fetched.rows) - len(fetched.unknown)
        if found:
            write_price_file(path, fetched.rows)
    if as_json:
        print_json([{**vars(row), "date": row.date.isoformat()} for row in fetched.rows])
    else:
        _show(path, fetched, found)
    if fetched.unknown:
        raise SystemExit(1)


def _show(path: Path, fetched: Fetched, found: int) -> None:
    from course_lib.cli import print_table

    table = [
        (
            row.instance,
            row.region,
            row.purchase,
            "unknown" if row.usd_per_hour is None else f"{row.usd_per_hour:,.4f}",
            row.note or row.source,
        )
        for row in fetched.rows
    ]
    print_table(f"prices of {fetched.rows[0].date}", ("instance", "region", "purchase", "USD/h", "note"), table)
    for row in fetched.unknown:
        click.echo(f"unknown: {row.purchase} price of {row.instance} in {row.region}")
    done = f"Written to {path}" if found else f"Nothing was written to {path}"
    click.echo(f"{done}: {found} {'price' if found == 1 else 'prices'}, {len(fetched.unknown)} unknown.")
