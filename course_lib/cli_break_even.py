"""The commands `course cost break-even ...`: from which point on one way to buy is cheaper than another.

Only click is imported here at the top, so that `--help` answers at once.
"""

from __future__ import annotations

from typing import Any

import click

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
PRICE = click.option("--usd-per-hour", type=float, help="On-demand price of one instance.  [default: the catalog's]")
COUNT = click.option("--instances", default=1, show_default=True, help="How many.")
SECONDS_PER_HOUR = 3600


@click.group("break-even")
def break_even() -> None:
    """Find from which point on spot, a commitment, a Capacity Block or a stop for the night pays.

    \b
    Example: course cost break-even spot p5en.48xlarge --mtbf-hours 4 --checkpoint-seconds 120
    Example: course cost break-even commitment p5.48xlarge --years 1 --hourly 38.5
    Example: course cost break-even block p4d.24xlarge --days 14 --instances 4 --price 14.75
    Example: course cost break-even night p5.48xlarge --idle-hours 12 --restart-minutes 15
    """


@break_even.command()
@click.argument("instance")
@click.option("--mtbf-hours", type=float, required=True, help="Mean time between interruptions of the whole job.")
@click.option("--checkpoint-seconds", type=float, required=True, help="Time to write a checkpoint.")
@click.option("--restart-seconds", type=float, default=0.0, show_default=True, help="From one until work goes on.")
@click.option("--on-demand-mtbf-hours", type=float, help="The same on demand.  [default: nothing fails there]")
@PRICE
@click.option("--spot-usd-per-hour", type=float, help="Spot price of one.  [default: the catalog's, if there is one]")
@click.option("--simulate", "hours", type=float, help="Also simulate a run of so many useful hours on spot.")
@click.option("--runs", default=2_000, show_default=True, help="Simulated runs.")
@click.option("--seed", default=0, show_default=True, help="Of the simulation.")
@JSON
def spot(instance: str, as_json: bool, **asked: Any) -> None:
    """The highest spot price that is worth its interruptions, with checkpoints at Daly's interval.

    Example: course cost break-even spot p5en.48xlarge --mtbf-hours 4 --checkpoint-seconds 120 --restart-seconds 600
    """
    from course_lib.cli import user_errors
    from course_lib.finops.prices import PriceUnknownError, given_price, price_of, spot_against_on_demand

    own = asked["spot_usd_per_hour"]
    with user_errors():
        demand = _on_demand(instance, asked["usd_per_hour"])
        try:
            market = price_of(instance, purchase="spot") if own is None else given_price(instance, own)
        except PriceUnknownError:
            market = None
        on_demand_mtbf = asked["on_demand_mtbf_hours"]
        found = spot_against_on_demand(
            demand.usd_per_hour,
            mtbf_seconds=asked["mtbf_hours"] * SECONDS_PER_HOUR,
            checkpoint_seconds=asked["checkpoint_seconds"],
            restart_seconds=asked["restart_seconds"],
            spot_usd_per_hour=None if market is None else market.usd_per_hour,
            on_demand_mtbf_seconds=None if on_demand_mtbf is None else on_demand_mtbf * SECONDS_PER_HOUR,
        )
        simulated = None
        if asked["hours"] is not None:
            simulated = _simulated(found.interval_seconds, demand.usd_per_hour, market and market.usd_per_hour, asked)
    told = {
        "instance": demand.instance,
        "on_demand_usd_per_hour": str(demand.usd_per_hour),
        "spot_usd_per_hour": None if market is None else str(market.usd_per_hour),
        "interval_minutes": round(found.interval_seconds / 60, 2),
        "paid_over_useful_time_spot": round(found.time_per_useful_spot, 5),
        "paid_over_useful_time_on_demand": round(found.time_per_useful_on_demand, 5),
        "highest_spot_share": round(found.ratio, 5),
        "highest_spot_usd_per_hour": f"{found.highest_usd_per_hour:.4f}",
        "saving": None if found.saving is None else round(found.saving, 4),
    }
    if simulated is not None:
        told["highest_spot_share_simulated"] = round(simulated, 5)
    _show(
        f"spot against on-demand: {demand.instance}", told, [demand.warning, market.warning if market else ""], as_json
    )


@break_even.command()
@click.argument("instance")
@click.option("--years", type=click.IntRange(1, 3), default=1, show_default=True, help="1 or 3.")
@click.option("--hourly", type=float, default=0.0, show_default=True, help="USD for each hour of the term.")
@click.option("--upfront", type=float, default=0.0, show_default=True, help="USD at the beginning.")
@click.option("--utilisation", type=float, help="Share of hours that you will use, for the saving.")
@PRICE
@JSON
def commitment(instance: str, as_json: bool, **asked: Any) -> None:
    """How much of a year's (or three years') hours you must use for a Reserved Instance or Savings Plan to pay.

    Example: course cost break-even commitment p5.48xlarge --years 1 --hourly 38.5 --utilisation 0.6
    """
    from course_lib.cli import user_errors
    from course_lib.finops.prices import commitment as commit

    used = asked["utilisation"]
    with user_errors():
        demand = _on_demand(instance, asked["usd_per_hour"])
        found = commit(
            demand.usd_per_hour, usd_per_hour=asked["hourly"], upfront_usd=asked["upfront"], years=asked["years"]
        )
        saving = None if used is None else found.saving(used)
    told = {
        "instance": demand.instance,
        "on_demand_usd_per_hour": str(demand.usd_per_hour),
        "commitment_usd": f"{found.usd:.2f}",
        "break_even_utilisation": f"{found.break_even_utilisation:.4f}",
        "break_even_hours_per_week": f"{found.break_even_hours_per_week:.1f}",
        "can_pay": found.pays,
        "saving_usd": None if saving is None else f"{saving:.2f}",
    }
    _show(f"commitment of {asked['years']} year(s): {demand.instance}", told, [demand.warning], as_json)


@break_even.command()
@click.argument("instance")
@click.option("--days", type=int, required=True, help="1 to 14, or a multiple of 7 up to 182.")
@COUNT
@click.option("--price", type=float, help="USD for one instance and hour in the block.  [default: the catalog's]")
@click.option("--used-hours", type=float, help="Hours in which the instances will work.")
@click.option("--idle-night", type=float, default=12.0, show_default=True, help="Hours of a night, for its price.")
@PRICE
@JSON
def block(instance: str, as_json: bool, **asked: Any) -> None:
    """After how many hours of use a Capacity Block beats on-demand, and what its idle hours cost.

    Example: course cost break-even block p4d.24xlarge --days 14 --instances 4 --price 14.75 --used-hours 200
    """
    from course_lib.cli import user_errors
    from course_lib.finops.prices import CapacityBlock, given_price, price_of

    own, used = asked["price"], asked["used_hours"]
    with user_errors():
        quote = given_price(instance, own) if own is not None else price_of(instance, purchase="capacity_block")
        found = CapacityBlock(asked["instances"], asked["days"], quote.usd_per_hour)
        demand = _on_demand(instance, asked["usd_per_hour"])
        hours = found.break_even_hours(demand.usd_per_hour)
        use = None if used is None else found.used(used, demand.usd_per_hour)
        night = found.idle_usd(asked["idle_night"])
    told: dict[str, Any] = {
        "instance": demand.instance,
        "block_usd_per_instance_hour": str(quote.usd_per_hour),
        "on_demand_usd_per_hour": str(demand.usd_per_hour),
        "upfront_usd": f"{found.upfront_usd:.2f}",
        "usable_hours": str(found.usable_hours),
        "break_even_hours": f"{hours:.1f}",
        "can_pay": hours < found.usable_hours,
        "idle_night_usd": f"{night:.2f}",
    }
    if use is not None:
        told["stranded_usd"] = f"{use.stranded_usd:.2f}"
        told["usd_per_used_hour"] = f"{use.usd_per_used_hour:.4f}"
        told["same_hours_on_demand_usd"] = f"{use.on_demand_usd:.2f}"
    _show(f"Capacity Block of {asked['days']} days: {quote.instance}", told, [quote.warning, demand.warning], as_json)


@break_even.command()
@click.argument("instance")
@click.option("--idle-hours", type=float, required=True, help="Length of the pause.")
@click.option("--restart-minutes", type=float, required=True, help="From the start until training goes on.")
@COUNT
@click.option("--waiting-usd-per-hour", type=float, default=0.0, show_default=True, help="What waiting people cost.")
@PRICE
@JSON
def night(instance: str, as_json: bool, **asked: Any) -> None:
    """Whether to stop instances for a pause or to keep them: restart time against idle time.

    Example: course cost break-even night p5.48xlarge --idle-hours 12 --restart-minutes 15 --instances 4
    """
    from course_lib.cli import user_errors
    from course_lib.finops.prices import stop_or_keep

    with user_errors():
        demand = _on_demand(instance, asked["usd_per_hour"])
        found = stop_or_keep(
            asked["idle_hours"],
            asked["restart_minutes"] / 60,
            demand.usd_per_hour,
            instances=asked["instances"],
            waiting_usd_per_hour=asked["waiting_usd_per_hour"],
        )
    told = {
        "instance": demand.instance,
        "keep_usd": f"{found.keep_usd:.2f}",
        "stop_usd": f"{found.stop_usd:.2f}",
        "cheaper": "stop" if found.stop else "keep",
        "saving_usd": f"{found.saving_usd:.2f}",
        "break_even_minutes": f"{found.break_even_hours * 60:.1f}",
    }
    _show(f"a pause of {asked['idle_hours']:g} h: {demand.instance}", told, [demand.warning], as_json)


def _on_demand(instance: str, usd_per_hour: float | None) -> Any:
    from course_lib.finops.prices import given_price, price_of

    return price_of(instance) if usd_per_hour is None else given_price(instance, usd_per_hour)


def _simulated(interval: float, on_demand: Any, spot_price: Any, asked: dict[str, Any]) -> float:
    from course_lib.finops.spot import ExponentialInterruptions, SpotJob, SpotMarket, compare_purchase

    job = SpotJob(asked["hours"] * SECONDS_PER_HOUR, interval, asked["checkpoint_seconds"], asked["restart_seconds"])
    market = SpotMarket(
        ExponentialInterruptions(asked["mtbf_hours"] * SECONDS_PER_HOUR),
        float(spot_price or on_demand),  # the break-even is a share; its price cancels out
        on_demand_usd_per_hour=float(on_demand),
    )
    return compare_purchase(job, market, runs=asked["runs"], seed=asked["seed"]).break_even_ratio


def _show(title: str, told: dict[str, Any], warnings: list[str], as_json: bool) -> None:
    from course_lib.cli import print_json, print_table

    given = [warning for warning in warnings if warning]
    if as_json:
        print_json({**told, "warnings": given})
        return
    rows = [(name.replace("_", " "), "unknown" if value is None else str(value)) for name, value in told.items()]
    print_table(title, ("what", "value"), rows)
    for warning in given:
        click.echo(f"Note: {warning}")
