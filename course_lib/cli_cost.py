"""The commands `course cost ...`: what a run costs, why, and what it would cost otherwise.

Only click is imported here at the top, so that `--help` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from course_lib.cli_bill import explain
from course_lib.cli_break_even import break_even
from course_lib.cli_prices import refresh

if TYPE_CHECKING:
    from course_lib.arithmetic import RunCost
    from course_lib.finops.prices import PriceFile

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
INSTANCES = click.option("--instances", default=1, show_default=True, help="How many instances of each type.")
DTYPE = click.option("--dtype", default="bf16", show_default=True, help="The precision whose peak counts.")
PURCHASE = click.option(
    "--purchase", default="on_demand", show_default=True, type=click.Choice(["on_demand", "spot", "capacity_block"])
)
REGION = click.option("--region", help="Where the price holds.  [default: us-east-1 where it is known]")
PRICES = click.option(
    "--prices",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A price file, read instead of the catalog; `course cost refresh` makes one.",
)


class Cost(click.Group):
    """A group whose first word may be a model: `course cost MODEL ...` is `course cost estimate MODEL ...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command's name first where a model stands, or nothing."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["estimate", *args]
        return super().parse_args(ctx, args)


@click.group(cls=Cost, subcommand_metavar="MODEL TOKENS [INSTANCE]... | COMMAND [ARGS]...")
def cost() -> None:
    """What a run costs, and why: estimates, bills, comparisons, break-evens, today's prices.

    \b
    Example: course cost llama3-8b 1e12 p5.48xlarge trn1.32xlarge --instances 16
    Example: course cost explain llama3-8b 1e11 p5.48xlarge --instances 16 --checkpoint-seconds 60 --mtbf-hours 48
    Example: course cost compare llama3-8b 1e12
    Example: course cost break-even spot p5en.48xlarge --mtbf-hours 4 --checkpoint-seconds 120
    Example: course cost refresh prices.csv p5.48xlarge trn1.32xlarge --region us-east-1
    """


cost.add_command(break_even)
cost.add_command(explain)
cost.add_command(refresh)


@cost.command()
@click.argument("model")
@click.argument("tokens", type=float)
@click.argument("instance", nargs=-1)
@INSTANCES
@click.option("--mfu", default=0.4, show_default=True, help="Model FLOPs utilization, a fraction.")
@DTYPE
@PURCHASE
@click.option("--usd-per-hour", type=float, help="Price of one instance, where the catalog has none.")
@JSON
def estimate(model: str, tokens: float, instance: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Estimate time and cost of training MODEL on TOKENS tokens with each INSTANCE.

    Without an INSTANCE, every type in the catalog is tried; those without a price or the precision are named.

    Example: course cost llama3-8b 1e12 p5.48xlarge trn1.32xlarge --instances 16
    """
    from dataclasses import asdict

    from course_lib.catalog import UnknownPriceError, instances
    from course_lib.catalog import instance as find
    from course_lib.cli import print_json, print_table, user_errors

    def priced(name: str) -> bool:
        try:
            return options["usd_per_hour"] is not None or find(name).usd_per_hour(options["purchase"]) > 0
        except UnknownPriceError:
            return False

    dtype, purchase = options["dtype"], options["purchase"]
    with user_errors():
        everything = list(instances()["name"])
        usable = [name for name in everything if dtype in find(name).accelerator_spec.peak_tflops and priced(name)]
        if not (instance or usable):
            raise ValueError(f"no instance has a {purchase} price and a {dtype} peak. Remedy: --dtype bf16")
        bills = [_bill(model, tokens, name, **options) for name in instance or usable]
    bills.sort(key=lambda bill: bill.usd)
    if as_json:
        print_json([asdict(bill) for bill in bills])
        return
    columns = ("instances", "accelerators", "days", "USD", "USD per million tokens", "tokens per second")
    rows = [
        (
            f"{bill.instances} x {bill.instance}",
            f"{bill.accelerators:,}",
            f"{bill.days:,.1f}",
            f"{bill.usd:,.0f}",
            f"{bill.usd_per_million_tokens:.4f}",
            f"{bill.tokens_per_second:,.0f}",
        )
        for bill in bills
    ]
    basis = f"{options['mfu']:.0%} MFU in {dtype}, {purchase.replace('_', ' ')}"
    print_table(f"{model}, {tokens:.3g} tokens, {basis}", columns, rows)
    left_out = [] if instance else [name for name in everything if name not in usable]
    if left_out:
        click.echo(f"Without a known {purchase} price or a {dtype} peak: {', '.join(left_out)}")


def _bill(model: str, tokens: float, instance: str, **options: Any) -> RunCost:
    """One run's bill; refused where its numbers leave the range of a float, which JSON could not hold either."""
    from dataclasses import asdict
    from math import isfinite

    from course_lib.arithmetic import run_cost

    beyond = (
        f"the bill for {tokens:g} tokens at {options['mfu']:g} MFU leaves the range of numbers (1e-308 to 1e308). "
        "Remedy: check --instances, --mfu and --usd-per-hour, and give tokens such as 15e12."
    )
    try:
        bill = run_cost(model, tokens, instance, **options)
    except ArithmeticError as error:
        raise ValueError(beyond) from error
    if not all(isfinite(value) for value in asdict(bill).values() if not isinstance(value, str)):
        raise ValueError(beyond)
    return bill


@cost.command()
@click.argument("model")
@click.argument("tokens", type=float)
@click.argument("instance", nargs=-1)
@INSTANCES
@click.option("--mfu", "shares", multiple=True, help="One share for all, or NAME=SHARE for each.  [default: 0.4]")
@DTYPE
@PURCHASE
@REGION
@PRICES
@JSON
def compare(
    model: str, tokens: float, instance: tuple[str, ...], shares: tuple[str, ...], as_json: bool, **options: Any
) -> None:
    """Compare INSTANCEs for training MODEL on TOKENS tokens, with the age of their prices; unknown prices are rows too.

    \b
    Example: course cost compare llama3-8b 1e12
    Example: course cost compare llama3-8b 1e12 p5.48xlarge trn1.32xlarge --mfu p5.48xlarge=0.4 --mfu trn1.32xlarge=0.3
    """
    from course_lib.cli import print_json, print_table, user_errors
    from course_lib.finops.prices import compare_instances, warnings_of

    with user_errors():
        rows = compare_instances(
            model,
            tokens,
            instance or None,
            count=options["instances"],
            mfu=_shares(shares),
            dtype=options["dtype"],
            purchase=options["purchase"],
            region=options["region"],
            prices=_file(options["prices"]),
        )
    warnings = warnings_of([row.quote for row in rows])
    if as_json:
        print_json({"alternatives": [row.as_dict() for row in rows], "warnings": warnings})
        return
    table = [
        (
            f"{row.instances} x {row.instance}",
            "" if row.hours is None else f"{row.hours / 24:,.1f}",
            "unknown" if row.usd is None else f"{row.usd:,.0f}",
            "" if row.usd_per_million_tokens is None else f"{row.usd_per_million_tokens:.4f}",
            row.why_not.partition(" Remedy:")[0] if row.quote is None else f"{row.quote.region} {row.quote.date}",
        )
        for row in rows
    ]
    columns = ("instances", "days", "USD", "USD per million tokens", "price of, or why not")
    print_table(f"{model}, {tokens:.3g} tokens, {options['purchase'].replace('_', ' ')}", columns, table)
    if warnings:
        click.echo(f"{len(warnings)} old prices, such as: {warnings[0]}")


def _shares(given: tuple[str, ...]) -> float | dict[str, float]:
    from course_lib.catalog import instance
    from course_lib.finops.prices import PriceError

    remedy = "write 0.4, or p5.48xlarge=0.4 for each instance"
    named: dict[str, float] = {}
    for text in given or ("0.4",):
        name, _, share = text.rpartition("=")
        try:
            value = float(share)
        except ValueError:
            raise PriceError.of("mfu", text, "is no share", remedy) from None
        if not name and len(given) > 1:
            raise PriceError.of("mfu", list(given), "mixes one share for all with others", remedy)
        if not name:
            return value
        named[instance(name).name] = value
    return named


def _file(path: Path | None) -> PriceFile | None:
    from course_lib.finops.prices import read_price_file

    return None if path is None else read_price_file(path)
