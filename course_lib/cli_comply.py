"""The commands `course finops comply` and `course finops checklist`: both read an account and change nothing.

Only click is imported here at the top, so that `--help` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from course_lib.cli_values import OUT_FILE

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
REGIONS = click.option("--region", "regions", multiple=True, help="Only here; may be repeated.  [default: everywhere]")


@click.command()
@REGIONS
@click.option("--allowed", multiple=True, help="A region where data may be; without one, residency is not judged.")
@click.option("--admin", multiple=True, help="A user, role or group that may do everything, as people decided.")
@click.option("--check", "checks", multiple=True, help="Only this check; may be repeated.  [default: all]")
@click.option("--key-days", default=90, show_default=True, help="The age from which an access key is too old.")
@click.option("--unused-days", default=90, show_default=True, help="Without use for longer counts as unused.")
@click.option("--log-days", nargs=2, default=(365, 1096), show_default=True, help="Fewest and most days of logs.")
@click.option("--open-port", "open_ports", type=int, multiple=True, help="A TCP port open to the world by decision.")
@click.option("--report", type=OUT_FILE, help="Also write the report as Markdown.")
@JSON
def comply(
    regions: tuple[str, ...], checks: tuple[str, ...], report: Path | None, as_json: bool, **limits: Any
) -> None:
    """Check encryption, logging, residency, retention and access; no attestation.

    Exits with 1 if something failed or could not be seen.

    \b
    Example: course finops comply --allowed eu-west-1 --report compliance.md
    Example: course finops comply --check bucket-tls --check bucket-private
    """
    from course_lib.cli import print_json, print_table, user_errors
    from course_lib.finops.aws import RealAccount
    from course_lib.finops.compliance import NO_ATTESTATION, Settings, look, together
    from course_lib.runtime import whole_file

    with user_errors():
        settings = Settings(
            tuple(limits["allowed"]),
            limits["key_days"],
            limits["unused_days"],
            tuple(limits["log_days"]),
            tuple(limits["open_ports"]),
            tuple(limits["admin"]),
        )
        found = look(RealAccount(), settings, regions=regions or None, checks=checks or None)
        if report is not None:
            with whole_file(report) as part:
                part.write_text(found.markdown(), encoding="utf-8")
    if as_json:
        print_json(found.as_dict())
    else:
        bad = [*found.of("failed"), *found.of("unseen")]
        shown = together(bad)
        rows = [(one.check, one.status, one.region, one.resource, one.evidence) for one in shown]
        title = f"account {found.account} at {found.now:%Y-%m-%d %H:%M} UTC"
        print_table(title, ("check", "", "region", "resource", "evidence"), rows)
        passed = len(found.of("passed"))
        click.echo(f"{len(found.of('failed'))} failed, {len(found.of('unseen'))} not seen, {passed} passed.")
        if len(shown) < len(bad):
            click.echo("What is the same in many places is one row here; --json and --report name each.")
        click.echo(NO_ATTESTATION)
        if report is not None:
            click.echo(f"Written: {report}")
    if not found.clean:
        raise SystemExit(1)


@click.command()
@click.option("--type", "instance_type", default="trn1.2xlarge", show_default=True, help="What you will launch first.")
@click.option("--count", default=1, show_default=True, help="How many of them.")
@click.option("--in", "place", default="us-east-1", show_default=True, help="The region where they will run.")
@click.option("--spot", is_flag=True, help="Bought as spot, which has a quota of its own.")
@REGIONS
@JSON
def checklist(instance_type: str, count: int, place: str, spot: bool, regions: tuple[str, ...], as_json: bool) -> None:
    """Walk through the getting-started checklist; changes nothing.

    Exits with 1 unless every item is done.

    \b
    Example: course finops checklist
    Example: course finops checklist --type trn1.32xlarge --in us-west-2
    """
    from course_lib.cli import print_json, user_errors
    from course_lib.finops.aws import RealAccount
    from course_lib.finops.checklist import PEOPLE, walk
    from course_lib.finops.guardrails import PlannedLaunch

    with user_errors():
        launch = PlannedLaunch(instance_type, count, place, "spot" if spot else "on_demand")
        found = walk(RealAccount(), launch, regions=regions or None)
    if as_json:
        print_json(found.as_dict())
    else:
        click.echo(str(found))
        click.echo("Only you can tick these:")
        for item in PEOPLE:
            click.echo(f"[ ] {item.title}")
    if not found.complete:
        raise SystemExit(1)
