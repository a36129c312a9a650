"""The command `course cost refresh`: today's prices, asked of AWS, into a file.

Only click is imported here at the top, so that `--help` answers at once.
"""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("path", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("instance", nargs=-1, required=True)
@click.option("--region", "regions", multiple=True, default=("us-east-1",), show_default=True, help="May be repeated.")
@click.option(
    "--purchase", "purchases", multiple=True, type=click.Choice(["on_demand", "spot"]), help="[default: both]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def refresh(
    path: Path, instance: tuple[str, ...], regions: tuple[str, ...], purchases: tuple[str, ...], as_json: bool
) -> None:
    """Ask AWS for the prices of INSTANCEs and write them to FILE, which other commands read with --prices.

    The account is the one that boto3 finds. It needs pricing:GetProducts and ec2:DescribeSpotPriceHistory. FILE is
    written whole or not at all; the catalog is never changed.

    Example: course cost refresh prices.csv p5.48xlarge trn1.32xlarge --region us-east-1
    """
    from course_lib.cli import print_json, print_table, user_errors
    from course_lib.finops.aws import RealAccount
    from course_lib.finops.prices import fetch_prices, write_price_file

    with user_errors():
        fetched = fetch_prices(RealAccount(), instance, regions, purchases or ("on_demand", "spot"))
        write_price_file(path, fetched.rows)
    if as_json:
        print_json([{**vars(row), "date": row.date.isoformat()} for row in fetched.rows])
        return
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
    click.echo(f"Written to {path}: {len(table) - len(fetched.unknown)} prices, {len(fetched.unknown)} unknown.")
