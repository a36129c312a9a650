"""The commands `course finops ...`: launch with a lease, reap, and the emergency shutdown.

Only click is imported here at the top, so that `--help` answers at once. Everything that changes an account shows what
it would do, and does it with --apply only.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from course_lib.cli_batch import batch
from course_lib.cli_chargeback import chargeback, recommend
from course_lib.cli_comply import checklist, comply
from course_lib.cli_dashboard import dashboard
from course_lib.cli_export import export
from course_lib.cli_guard import guard
from course_lib.cli_infra import infra
from course_lib.cli_launch import APPLY, DRY, launch
from course_lib.cli_spend import anomalies, forecast, spend
from course_lib.cli_values import OUT_FILE

if TYPE_CHECKING:
    from course_lib.finops.emergency import EmergencyPlan, EmergencyReport

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
REGIONS = click.option("--region", "regions", multiple=True, help="Only here; may be repeated.  [default: everywhere]")


@click.group()
def finops() -> None:
    """Instances that end by themselves, and what ends those that don't.

    The account is the one that boto3 finds: your profile's, or the practice account after `eval "$(course cloud env)"`.

    \b
    Example: course finops launch trn1.2xlarge ami-12c6146b --for 4h --owner ada --project bert --budget 10 --role ARN
    Example: course finops reap
    Example: course finops emergency plan stop.json
    """


finops.add_command(batch)
finops.add_command(chargeback)
finops.add_command(checklist)
finops.add_command(comply)
finops.add_command(dashboard)
finops.add_command(export)
finops.add_command(recommend)
finops.add_command(infra)
finops.add_command(guard)
for command in (launch, spend, anomalies, forecast):
    finops.add_command(command)


@finops.command()
@REGIONS
@click.option(
    "--without-lease",
    type=click.Choice(["stop", "terminate", "report"]),
    default="stop",
    show_default=True,
    help="What becomes of an instance without a lease. What EC2 can't stop, a one-time spot instance, is terminated.",
)
@click.option("--grace", default="1h", show_default=True, help="For instances without a lease, from their launch.")
@click.option("--at-most", default=100, show_default=True, help="Do nothing if more than this are to end.")
@APPLY
@JSON
def reap(regions: tuple[str, ...], grace: str, at_most: int, apply: bool, as_json: bool, **asked: Any) -> None:
    """Find instances that outlived their lease; with --apply end them.

    Exits with 1 if something should have ended and did not, or a region could not be seen.

    \b
    Example: course finops reap
    Example: course finops reap --apply --at-most 20
    """
    from course_lib.cli import print_json, print_table, user_errors
    from course_lib.cli_cloud import duration
    from course_lib.finops.aws import RealAccount
    from course_lib.finops.ephemeral import sweep

    with user_errors():
        found = sweep(
            RealAccount(),
            regions=regions or None,
            grace=duration(grace),
            without_lease=asked["without_lease"],
            at_most=at_most,
            apply=apply,
        )
    rows = [
        {
            "instance": verdict.instance,
            "region": verdict.region,
            "type": verdict.instance_type,
            "state": verdict.state,
            "owner": verdict.lease.owner if verdict.lease else "",
            "action": verdict.action,
            "why": verdict.error or verdict.why,
        }
        for verdict in found.verdicts
    ]
    if as_json:
        print_json({"now": found.now.isoformat(), "applied": apply, "instances": rows, "unseen": found.unseen})
    else:
        columns = ("instance", "region", "type", "state", "owner", "action", "why")
        print_table(f"instances at {found.now:%Y-%m-%d %H:%M} UTC", columns, [tuple(row.values()) for row in rows])
        for region, reason in found.unseen.items():
            click.echo(f"not seen: {region}: {reason}")
        doomed = len(found.of("terminate")) + len(found.of("stop"))
        click.echo(f"{doomed} to end, {len(found.failed)} failed." + ("" if apply or not doomed else f" {DRY}"))
    if found.failed or found.unseen:
        raise SystemExit(1)


@finops.group()
def emergency() -> None:
    """Stop everything that costs money: first a plan, then its phrase typed, then the end.

    \b
    Example: course finops emergency plan stop.json
    Example: course finops emergency apply stop.json
    """


@emergency.command("plan")
@click.argument("path", type=OUT_FILE)
@REGIONS
def plan_command(path: Path, regions: tuple[str, ...]) -> None:
    """Look everywhere and write to PATH what would end; changes nothing.

    Exits with 1 if a region could not be seen.

    Example: course finops emergency plan stop.json
    """
    from course_lib.cli import user_errors
    from course_lib.finops.aws import RealAccount
    from course_lib.finops.emergency import make_plan, save_plan

    with user_errors():
        plan = make_plan(RealAccount(), regions or None)
        save_plan(plan, path)
    _show_plan(plan)
    click.echo(f"Nothing was changed. Valid until {plan.valid_until:%H:%M} UTC: course finops emergency apply {path}")
    if plan.unseen:
        raise SystemExit(1)


@emergency.command("apply")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--phrase", help="The plan's phrase.  [default: asked for]")
def apply_command(path: Path, phrase: str | None) -> None:
    """Carry out the plan in PATH, after its phrase has been typed.

    Exits with 1 if something should have ended and did not.

    Example: course finops emergency apply stop.json
    """
    from course_lib.cli import user_errors
    from course_lib.finops.aws import RealAccount
    from course_lib.finops.emergency import carry_out, load_plan

    with user_errors():
        plan = load_plan(path)
        if phrase is None:
            _show_plan(plan)
            phrase = click.prompt(f"To end them, type: {plan.phrase}\n", prompt_suffix="> ")
        report = carry_out(RealAccount(), plan, phrase)
    _show_report(report)
    if report.failed:
        raise SystemExit(1)


def _show_plan(plan: EmergencyPlan) -> None:
    from course_lib.cli import print_table

    columns = ("instance", "region", "type", "state", "owner", "USD/h", "")
    rows = [
        (
            machine.id,
            machine.region,
            machine.instance_type,
            machine.state,
            machine.owner,
            "unknown" if machine.usd_per_hour is None else f"{machine.usd_per_hour:,.2f}",
            "protected: stays" if machine.protected else "ends",
        )
        for machine in plan.machines
    ]
    print_table(f"account {plan.account}: {plan.usd_per_hour:,.2f} USD an hour to be saved", columns, rows)
    for starter in plan.starters:
        what = "protected: stays" if starter.protected else "is blocked first"
        click.echo(f"{starter.kind} {starter.id} in {starter.region}: {what}")
    for orphan in plan.orphans:
        click.echo(f"{orphan.kind} {orphan.id} ({orphan.note}) in {orphan.region} costs money and stays")
    for where, reason in plan.unseen.items():
        click.echo(f"not seen: {where}: {reason}")


def _show_report(report: EmergencyReport) -> None:
    for outcome in (*report.blocked, *report.ended, *report.left):
        told = f" ({outcome.why})" if outcome.why else ""
        click.echo(f"{'done' if outcome.done else 'left'}  {outcome.what} in {outcome.region}{told}")
    unpriced = f", and {report.unpriced} without a known price" if report.unpriced else ""
    click.echo(f"Saved: {report.usd_per_hour:,.2f} USD an hour{unpriced}. {len(report.failed)} failed.")
