"""The commands `course finops spend`, `anomalies` and `forecast`: who spends what, what is odd, what it will cost.

Only click is imported here at the top, so that `--help` answers at once. They read, and change nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from course_lib.cli_values import OUT_FILE

if TYPE_CHECKING:
    from datetime import datetime

    from course_lib.finops.usage import Usage

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
DAYS = click.option(
    "--days", type=click.IntRange(1), default=120, show_default=True, help="How far back the bill is read."
)
FOR_EACH = ("service", "region")


@click.command()
@click.option("--by", type=click.Choice(["project", "owner"]), default="project", show_default=True, help="The tag.")
@click.option("--region", "regions", multiple=True, help="Look for instances only here.  [default: everywhere]")
@JSON
def spend(by: str, regions: tuple[str, ...], as_json: bool) -> None:
    """Say who spends what at this moment, and in this month so far.

    The moment comes from what runs, times its price; the month from Cost Explorer, which is a day behind and asks 0.01
    USD for each page. Exits with 1 if a region could not be seen.

    \b
    Example: course finops spend
    Example: course finops spend --by owner --json
    """
    from course_lib.cli import print_json, print_table, user_errors
    from course_lib.finops.usage import running_now

    with user_errors():
        account = _account()
        running = running_now(account, regions or None)
        usage = _read(account, running.now, _month_so_far(running.now), by=[f"tag:{by}"])
    hourly = {keys[0]: usd for keys, usd in running.by(by).items()}
    monthly = {keys[0]: float(usd) for keys, usd in usage.totals().items()}
    names = sorted({**hourly, **monthly}, key=lambda name: (-hourly.get(name, 0.0), -monthly.get(name, 0.0), name))
    unknown = running.unknown(by)
    rows = [
        (name, None if (name,) in unknown else round(hourly.get(name, 0.0), 4), round(monthly.get(name, 0.0), 2))
        for name in names
    ]
    unpriced = sorted({one.instance_type for one in running.unpriced})
    told = {
        "now": running.now.isoformat(),
        "usd_per_hour": round(running.usd_per_hour, 4),
        "usd_this_month": float(round(usage.total, 2)),
        "instances": len(running.instances),
        "unpriced": unpriced,
        "unseen": running.unseen,
        "reading_usd": float(usage.usd_of_reading),
    }
    if as_json:
        fields = ("who", "usd_per_hour", "usd_this_month")
        print_json({**told, "by": by, "rows": [dict(zip(fields, row, strict=True)) for row in rows]})
    else:
        table = [
            (name or "(none)", "unknown" if hour is None else f"{hour:,.2f}", f"{month:,.2f}")
            for name, hour, month in rows
        ]
        print_table(f"spend at {running.now:%Y-%m-%d %H:%M} UTC", (by, "USD/h now", "USD this month"), table)
        count = len(running.instances)
        many = "instance" if count == 1 else "instances"
        click.echo(f"{running.usd_per_hour:,.2f} USD an hour for {count} {many}; this month: {usage}.")
        if unpriced:
            click.echo(f"Not in the sum, since nobody knows the price: {', '.join(unpriced)}.")
        for region, reason in running.unseen.items():
            click.echo(f"not seen: {region}: {reason}")
    if running.unseen:
        raise SystemExit(1)


@click.command()
@DAYS
@click.option("--tag", default="project", show_default=True, help="The tag whose values are looked at one by one.")
@click.option("--floor", type=float, help="Smallest excess of a day that counts, in USD.  [default: 20]")
@click.option("--share", type=float, help="Smallest excess as a fraction of the expected.  [default: 0.3]")
@click.option("--all", "everything", is_flag=True, help="Also what has been over for more than a week.")
@click.option(
    "--seen",
    type=OUT_FILE,
    help="File that remembers what was told: each anomaly is told once, and again when it has grown.",
)
@JSON
def anomalies(
    days: int, tag: str, floor: float | None, share: float | None, everything: bool, seen: Path | None, as_json: bool
) -> None:
    """Find spend that is out of the ordinary: in total, by service, by region and by tag.

    Exits with 1 if there is something to tell.

    \b
    Example: course finops anomalies
    Example: course finops anomalies --seen told.json --floor 50
    """
    from datetime import timedelta

    from course_lib.cli import print_json, print_table, user_errors
    from course_lib.finops.anomalies import DAILY, Rule, find_anomalies, load_seen, news, save_seen
    from course_lib.finops.aws import aws_now

    with user_errors():
        before = load_seen(seen) if seen is not None else {}
        account = _account()
        now = aws_now(account)
        rule = Rule(
            floor_usd=DAILY.floor_usd if floor is None else floor, share=DAILY.share if share is None else share
        )
        usages = [_read(account, now, days, by=[name]) for name in (*FOR_EACH, f"tag:{tag}")]
        scopes = {"total": usages[0].series()}
        for usage in usages:
            scopes |= usage.scopes()
        found = find_anomalies(scopes, rule)
        if not everything:
            found = tuple(one for one in found if one.open or now - one.last < timedelta(days=8))
        if seen is not None:
            found, after = news(found, before)
            save_seen(seen, after)
    calls = sum(usage.calls for usage in usages)
    rows: list[dict[str, Any]] = [
        {
            "id": one.id,
            "scope": one.scope,
            "kind": one.kind,
            "from": one.start.date().isoformat(),
            "to": one.last.date().isoformat(),
            "open": one.open,
            "usd": round(one.usd, 2),
            "expected_usd": round(one.expected_usd, 2),
            "impact_usd": round(one.impact_usd, 2),
            "also": list(one.also),
        }
        for one in found
    ]
    if as_json:
        print_json({"now": now.isoformat(), "reading_usd": calls / 100, "anomalies": rows})
    else:
        table = [
            (
                row["scope"],
                row["kind"],
                row["from"],
                "goes on" if row["open"] else row["to"],
                f"{row['expected_usd']:,.2f}",
                f"{row['usd']:,.2f}",
                f"{row['impact_usd']:,.2f}",
                ", ".join(row["also"]),
            )
            for row in rows
        ]
        columns = ("where", "kind", "from", "to", "USD expected", "USD", "USD too much", "also in")
        if rows:
            print_table(f"anomalies of the last {days} days", columns, table)
        elif usages[0].empty:
            click.echo(f"No anomalies: {usages[0]}.")
        else:
            click.echo("No anomalies.")
        click.echo(f"Calls of Cost Explorer: {calls}, {calls / 100:.2f} USD.")
    if rows:
        raise SystemExit(1)


@click.command()
@DAYS
@click.option("--level", default=0.8, show_default=True, help="Share of outcomes that the intervals are to hold.")
@JSON
def forecast(days: int, level: float, as_json: bool) -> None:
    """Forecast this month's and the next month's spend, with intervals.

    Example: course finops forecast --level 0.9
    """
    from course_lib.cli import print_json, print_table, user_errors
    from course_lib.finops.aws import aws_now
    from course_lib.finops.forecast import forecast as make_forecast

    with user_errors():
        account = _account()
        usage = _read(account, aws_now(account), days)
        found = make_forecast(usage.series(), level=level)
    if as_json:
        print_json(
            {
                "method": found.method,
                "level": level,
                "notes": found.notes,
                "reading_usd": float(usage.usd_of_reading),
                "months": [vars(month) for month in found.months],
                "days": [
                    {"date": day.isoformat(), "usd": usd, "lower_usd": low, "upper_usd": high}
                    for day, usd, low, high in zip(found.days, found.usd, found.lower_usd, found.upper_usd, strict=True)
                ],
            }
        )
        return
    rows = [
        (
            month.month,
            f"{month.spent_usd:,.2f}",
            f"{month.usd:,.2f}",
            f"{month.lower_usd:,.2f} to {month.upper_usd:,.2f}",
        )
        for month in found.months
    ]
    print_table(f"forecast by {found.method}", ("month", "USD so far", "USD in all", f"{level:.0%} interval"), rows)
    for note in found.notes:
        click.echo(f"Note: {note}.")
    click.echo(f"Calls of Cost Explorer: {usage.calls}, {usage.usd_of_reading} USD.")


def _account() -> Any:
    from course_lib.finops.aws import RealAccount

    return RealAccount()


def _month_so_far(now: datetime) -> int:
    return now.day - 1


def _read(account: Any, now: datetime, days: int, by: list[str] | None = None) -> Usage:
    """The bill of the last days, today included."""
    from datetime import timedelta

    from course_lib.finops.usage import read_usage

    today = now.date()
    return read_usage(account, today - timedelta(days=days), today + timedelta(days=1), by=by or [], now=now)
