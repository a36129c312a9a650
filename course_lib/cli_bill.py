"""The command `course cost explain`: a run's bill, part by part.

Only click is imported here at the top, so that `--help` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from course_lib.finops.prices import Bill, Quote, Rate, RunTimes, StorageUse, TransferUse

SECONDS_PER_HOUR = 3600


@click.command()
@click.argument("model")
@click.argument("tokens", type=float)
@click.argument("instance")
@click.option("--instances", default=1, show_default=True, help="How many.")
@click.option("--mfu", default=0.4, show_default=True, help="Model FLOPs utilization, a fraction.")
@click.option("--dtype", default="bf16", show_default=True, help="The precision whose peak counts.")
@click.option(
    "--purchase", default="on_demand", show_default=True, type=click.Choice(["on_demand", "spot", "capacity_block"])
)
@click.option("--region", help="Where.  [default: us-east-1 where the price is known]")
@click.option("--usd-per-hour", type=float, help="Your own price of one instance.")
@click.option(
    "--prices", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A price file, read instead."
)
@click.option("--live", is_flag=True, help="Ask AWS for the prices of the instance, storage and transfer.")
@click.option("--checkpoint-seconds", type=float, default=0.0, show_default=True, help="Time to write a checkpoint.")
@click.option("--interval-seconds", type=float, help="Work between two.  [default: Daly's interval]")
@click.option(
    "--restart-seconds", type=float, default=0.0, show_default=True, help="From a failure until work goes on."
)
@click.option("--mtbf-hours", type=float, help="Mean time between failures of the whole job.  [default: none fails]")
@click.option("--failures", type=float, help="The same as failures per 1,000 node-days.")
@click.option("--idle-hours", type=float, default=0.0, show_default=True, help="Allocated but not training.")
@click.option("--allocated-hours", type=float, help="A run that is over: from launch to end; the rest was idle.")
@click.option(
    "--checkpoint-hours", type=float, default=0.0, show_default=True, help="As logged, with --allocated-hours."
)
@click.option("--lost-hours", type=float, default=0.0, show_default=True, help="To failures, with --allocated-hours.")
@click.option("--storage", multiple=True, metavar="KIND:GB[:HOURS]", help="Kept; without HOURS for the whole run.")
@click.option("--transfer", multiple=True, metavar="KIND:GB", help="Leaves; between zones each GB counts twice.")
@click.option("--rate", "rates", multiple=True, metavar="KIND=USD", help="Your price of a KIND, per GB-month or GB.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def explain(model: str, tokens: float, instance: str, as_json: bool, **asked: Any) -> None:
    """Explain the bill of training MODEL on TOKENS tokens: useful compute, failures, idle, storage, ...

    KIND is ebs-gp3, s3-standard, internet-out or between-zones, which --live can price (ebs-gp3 in us-east-1 the
    catalog too), or a name of your own with --rate. What has no price is shown as unknown and left out of the total.

    The parts are what a run will cost on average; with --allocated-hours, what one did cost, from its log.

    \b
    Example: course cost explain llama3-8b 1e11 p5.48xlarge --instances 16 --checkpoint-seconds 60 --mtbf-hours 48
    Example: course cost explain llama3-8b 1e11 p5.48xlarge --storage ebs-gp3:500 --rate ebs-gp3=0.1 --idle-hours 12
    """
    from course_lib.cli import print_json, user_errors
    from course_lib.finops.prices import explain_bill

    with user_errors():
        quote = _quote(instance, asked)
        times = _times(model, tokens, instance, asked)
        storage, transfer = _uses(asked, quote.region or asked["region"] or "us-east-1", times)
        bill = explain_bill(times, quote, instances=asked["instances"], storage=storage, transfer=transfer)
    if as_json:
        print_json({**bill.as_dict(), "hours": times.seconds / SECONDS_PER_HOUR, "goodput": times.goodput})
    else:
        _show(f"{model}, {tokens:.3g} tokens on {asked['instances']} x {quote.instance}", bill, times)


def _quote(instance: str, asked: dict[str, Any]) -> Quote:
    from course_lib.catalog import instance as find
    from course_lib.finops.prices import ask_blocks, ask_on_demand, ask_spot, given_price, price_of, read_price_file

    name, purchase = find(instance).name, asked["purchase"]
    if asked["usd_per_hour"] is not None:
        return given_price(name, asked["usd_per_hour"])
    if not asked["live"]:
        prices = None if asked["prices"] is None else read_price_file(asked["prices"])
        return price_of(name, purchase=purchase, region=asked["region"], prices=prices)
    from course_lib.finops.aws import RealAccount

    region = asked["region"] or "us-east-1"
    if purchase == "on_demand":
        return ask_on_demand(RealAccount(), name, region)
    if purchase == "spot":
        return ask_spot(RealAccount(), name, region)[0]
    return ask_blocks(RealAccount(), name, region, instances=asked["instances"])[0].quote()


def _times(model: str, tokens: float, instance: str, asked: dict[str, Any]) -> RunTimes:
    from course_lib.arithmetic import mean_seconds_between_failures, run_cost
    from course_lib.finops.prices import PriceError, expected_times

    shape = {name: asked[name] for name in ("instances", "mfu", "dtype")}
    try:
        work = run_cost(model, tokens, instance, usd_per_hour=1.0, **shape)
    except ArithmeticError as error:
        raise PriceError.of(
            "tokens", tokens, "leads out of the range of numbers", "give tokens such as 1e12"
        ) from error
    if asked["allocated_hours"] is not None:
        return _measured(work.seconds, asked)
    for name in ("checkpoint_hours", "lost_hours"):
        if asked[name]:
            raise PriceError.of(name, asked[name], "was measured, but in how long a run", "add --allocated-hours")
    mtbf = None if asked["mtbf_hours"] is None else asked["mtbf_hours"] * SECONDS_PER_HOUR
    if asked["failures"] is not None:
        if mtbf is not None:
            raise PriceError.of("failures", asked["failures"], "says the same as --mtbf-hours", "give one of them")
        mtbf = mean_seconds_between_failures(
            work.accelerators,
            failures_per_1000_node_days=asked["failures"],
            accelerators_per_node=work.accelerators // work.instances,
        )
    return expected_times(
        work.seconds,
        checkpoint_seconds=asked["checkpoint_seconds"],
        interval_seconds=asked["interval_seconds"],
        mtbf_seconds=mtbf,
        restart_seconds=asked["restart_seconds"],
        idle_seconds=asked["idle_hours"] * SECONDS_PER_HOUR,
    )


def _measured(useful_seconds: float, asked: dict[str, Any]) -> RunTimes:
    from course_lib.finops.prices import PriceError, measured_times

    forecast = ("mtbf_hours", "failures", "idle_hours", "checkpoint_seconds", "interval_seconds", "restart_seconds")
    for name in forecast:
        if asked[name]:
            limit = "belongs to a forecast, and --allocated-hours to a run that is over"
            raise PriceError.of(name, asked[name], limit, "leave one of them out")
    return measured_times(
        asked["allocated_hours"] * SECONDS_PER_HOUR,
        useful_seconds,
        checkpoint_seconds=asked["checkpoint_hours"] * SECONDS_PER_HOUR,
        lost_seconds=asked["lost_hours"] * SECONDS_PER_HOUR,
    )


def _uses(asked: dict[str, Any], region: str, times: RunTimes) -> tuple[list[StorageUse], list[TransferUse]]:
    from course_lib.finops.prices import PriceError, StorageUse, TransferUse

    own = {}
    for text in asked["rates"]:
        kind, (usd,) = _numbers(text.replace("=", ":"), text, "KIND=USD", 1, 1)
        own[kind] = usd

    def rate(kind: str, unit: str) -> Rate | None:
        return _rate(kind, unit, own, region, asked["live"])

    storage = []
    for text in asked["storage"]:
        kind, (gb, *hours) = _numbers(text, text, "KIND:GB[:HOURS]", 1, 2)
        kept = hours[0] if hours else times.seconds / SECONDS_PER_HOUR
        storage.append(StorageUse(kind, gb, kept, rate(kind, "GB-Mo")))
    transfer = []
    for text in asked["transfer"]:
        kind, (gb,) = _numbers(text, text, "KIND:GB", 1, 1)
        transfer.append(TransferUse(kind, gb, rate(kind, "GB")))
    used = [use.what for use in storage] + [use.what for use in transfer]
    for kind in own:
        if kind not in used:  # a slip of the pen, and the bill would have another price than you think
            limit = f"is the price of nothing here: {', '.join(used) or 'no storage and no transfer'}"
            raise PriceError.of("rate", kind, limit, "write the KIND as in --storage or --transfer")
    return storage, transfer


def _rate(kind: str, unit: str, own: dict[str, float], region: str, live: bool) -> Rate | None:
    from datetime import UTC, datetime

    from course_lib.finops.aws import RealAccount
    from course_lib.finops.prices import RATES, PriceUnknownError, ask_rate, flat_rate, listed_rate

    if kind in own:
        return flat_rate(own[kind], unit, source="given on the command line", date=datetime.now(UTC).date())
    if not live or kind not in RATES:
        return listed_rate(kind, region)
    try:
        return ask_rate(RealAccount(), kind, region)
    except PriceUnknownError:
        return None  # the bill says that it is unknown


def _numbers(text: str, shown: str, form: str, least: int, most: int) -> tuple[str, list[float]]:
    from course_lib.finops.prices import PriceError

    kind, *numbers = text.split(":")
    try:
        found = [float(number) for number in numbers]
    except ValueError:
        found = []
    if not kind or not least <= len(found) <= most:
        raise PriceError.of("value", shown, f"is no {form}", "write it like ebs-gp3:500")
    return kind, found


def _show(title: str, bill: Bill, times: RunTimes) -> None:
    from course_lib.cli import print_table

    rows = [
        (
            line.part,
            line.what,
            f"{line.quantity:,.2f} {line.unit}",
            "unknown" if line.usd is None else f"{line.usd:,}",
            f"{line.source}{f', {line.date}' if line.date else ''}",
        )
        for line in bill.lines
    ]
    print_table(title, ("part", "what", "quantity", "USD", "price of"), rows)
    without = f", without {len(bill.unknown)} part(s) of unknown price" if bill.unknown else ""
    click.echo(
        f"Total: {bill.usd:,} USD{without}. {times.seconds / SECONDS_PER_HOUR:,.1f} h, {times.goodput:.1%} useful."
    )
    for warning in bill.warnings:
        click.echo(f"Note: {warning}")
