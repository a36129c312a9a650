"""The commands `course finops chargeback` and `course finops recommend`: who pays what, and what can be saved.

Only click is imported here at the top. Both read, and change nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from course_lib.finops.chargeback import Allocation, Split
    from course_lib.finops.focus import FocusData

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
PARTS = ("usage", "shared", "idle", "tax", "credit", "total")


@click.command()
@click.option("--by", default="project", show_default=True, help="The tag to divide by.")
@click.option("--month", help="Such as 2026-12.  [default: the newest in the data]")
@click.option("--file", "path", type=click.Path(dir_okay=False, path_type=Path), help="A FOCUS 1.2 file, CSV or gzip.")
@click.option("--bucket", help="Where `course finops export` delivers; instead of --file.")
@click.option("--prefix", default="", help="What the keys in the bucket begin with.")
@click.option("--shared", multiple=True, metavar="VALUE=SPLIT", help="A shared value of the tag; may be repeated.")
@click.option("--share-idle", metavar="SPLIT", help="Divide idle costs, too.  [default: kept apart]")
@click.option("--statement", "team", help="One team's statement, in Markdown, instead of the table.")
@JSON
def chargeback(
    by: str, month: str | None, path: Path | None, bucket: str | None, as_json: bool, team: str | None, **asked: Any
) -> None:
    """Divide a month's bill by a tag: every cent has one place, what has no team included.

    SPLIT is even, proportional, or weights such as bert:2,llama:1.

    \b
    Example: course finops chargeback --file bill.csv.gz
    Example: course finops chargeback --bucket bills --prefix billing --by owner --month 2026-12
    Example: course finops chargeback --file bill.csv.gz --shared platform=even --statement bert
    """
    from course_lib.cli import print_json, print_table, user_errors
    from course_lib.finops.chargeback import Shared, allocate, statement

    with user_errors():
        data = _data(path, bucket, asked["prefix"], month)
        if data.months():
            data = data.month(month or data.months()[-1])
        rules = [Shared(name, _split(how)) for name, _, how in (text.partition("=") for text in asked["shared"])]
        idle = _split(asked["share_idle"]) if asked["share_idle"] else None
        found = allocate(data, by, shared=rules, share_idle=idle)
        if team is not None:
            click.echo(statement(found, team).markdown())
            return
    if as_json:
        print_json(_told(found))
        return
    rows = [(one.name, *(f"{getattr(one, part):,.2f}" for part in PARTS)) for one in found.shares]
    print_table(f"{', '.join(found.months)} by {by}, {found.currency}", (by, *PARTS), rows)
    click.echo(
        f"{found.allocated:,.2f} allocated + {found.idle:,.2f} idle + {found.unallocated:,.2f} unallocated"
        f" + {found.credits:,.2f} left of credits = {found.bill:,.2f} {found.currency}."
    )


@click.command()
@click.option("--region", "regions", multiple=True, help="Only here; may be repeated.  [default: everywhere]")
@click.option("--days", default=14, show_default=True, help="How far back utilization is read.")
@click.option("--commands", is_flag=True, help="Print the command of each recommendation as well.")
@JSON
def recommend(regions: tuple[str, ...], days: int, commands: bool, as_json: bool) -> None:
    """What would save money in the account, with evidence and risk; changes nothing.

    Exits with 1 if a region could not be seen.

    \b
    Example: course finops recommend
    Example: course finops recommend --region us-east-1 --days 7 --commands
    """
    from course_lib.cli import print_json, print_table, user_errors
    from course_lib.finops.aws import RealAccount
    from course_lib.finops.optimize import AdviceSettings
    from course_lib.finops.optimize import recommend as look

    with user_errors():
        found = look(RealAccount(), regions=regions or None, settings=AdviceSettings(days=days))
    if as_json:
        told = {"now": found.now.isoformat(), "days": days, "usd_per_month": round(found.usd_per_month, 2)}
        advice = [vars(one) for one in found.recommendations]
        print_json({**told, "recommendations": advice, "unmeasured": found.unmeasured, "unseen": found.unseen})
    else:
        columns = ("kind", "resource", "region", "owner", "USD/month", "what", "evidence", "risk")
        rows = [
            (
                one.kind.replace("_", " "),
                one.resource,
                one.region,
                one.owner,
                "unknown" if one.usd_per_month is None else f"{one.usd_per_month:,.2f}",
                one.what,
                one.evidence,
                one.risk,
            )
            for one in found.recommendations
        ]
        print_table(f"recommendations at {found.now:%Y-%m-%d %H:%M} UTC, last {days} days", columns, rows)
        for one in found.recommendations if commands else ():
            click.echo(f"{one.resource}: {one.command}")
        if found.unmeasured:
            click.echo(f"no utilization in CloudWatch: {', '.join(found.unmeasured)}")
        for region, reason in found.unseen.items():
            click.echo(f"not seen: {region}: {reason}")
        click.echo(f"Up to {found.usd_per_month:,.2f} USD a month. Nothing was changed.")
    if found.unseen:
        raise SystemExit(1)


def _data(path: Path | None, bucket: str | None, prefix: str, month: str | None) -> FocusData:
    from course_lib.finops.aws import RealAccount
    from course_lib.finops.focus import FocusError, read_focus, read_focus_s3

    if (path is None) == (bucket is None):
        given = "both are given" if path else "neither is given"
        remedy = "give --file for a FOCUS file, or --bucket for what `course finops export` has delivered"
        raise FocusError(f"--file and --bucket: {given}, and the bill is in one place. Remedy: {remedy}.")
    if path is not None:
        return read_focus(path)
    return read_focus_s3(RealAccount(), str(bucket), prefix, month=month)


def _split(text: str) -> Split:
    from course_lib.finops.chargeback import ChargebackError, Split

    if ":" not in text:
        return Split(text)  # type: ignore[arg-type]
    try:
        return Split("weights", {team: float(share) for team, share in (one.split(":") for one in text.split(","))})
    except ValueError as error:
        if isinstance(error, ChargebackError):
            raise
        raise ChargebackError.of("split", text, "is none", "write even, proportional, or bert:2,llama:1") from None


def _told(found: Allocation) -> dict[str, Any]:
    rows = [{"name": one.name, **{part: float(getattr(one, part)) for part in PARTS}} for one in found.shares]
    sums = {name: float(getattr(found, name)) for name in ("bill", "allocated", "idle", "unallocated", "credits")}
    return {"by": found.by, "months": found.months, "currency": found.currency, **sums, "shares": rows}
