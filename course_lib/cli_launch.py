"""The command `course finops launch`: an instance whose end is built in.

Only click is imported here at the top, so that `--help` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from datetime import datetime

    from course_lib.finops.aws import Clients

APPLY = click.option("--apply", is_flag=True, help="Do it; without this option nothing changes.")
DRY = "Nothing was changed. To do it, add --apply."


@click.command()
@click.argument("instance_type")
@click.argument("image")
@click.option("--for", "life", help="How long the lease is: 30m, 4h, 1d.")
@click.option("--until", help="Or the lease's end, such as 2026-12-01T18:00:00Z; retyped, it is the same launch.")
@click.option("--owner", required=True, help="Whom to ask about it.")
@click.option("--project", required=True, help="Who pays.")
@click.option("--budget", required=True, type=float, help="USD that it may cost until the lease ends.")
@click.option("--role", required=True, help="ARN of the role with which the scheduler terminates it.")
@click.option("--region", default="us-east-1", show_default=True, help="Where.")
@click.option("--count", default=1, show_default=True, help="How many, all or none.")
@click.option("--spot", is_flag=True, help="Interruptible, for less.")
@click.option(
    "--script", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Shell script run at boot."
)
@click.option("--usd-per-hour", type=float, help="Of one instance.  [default: the catalog's price]")
@APPLY
def launch(
    instance_type: str,
    image: str,
    life: str | None,
    until: str | None,
    apply: bool,
    script: Path | None,
    **asked: Any,
) -> None:
    """Launch INSTANCE_TYPE from IMAGE with its end built in three times.

    Without --apply, AWS is asked whether it would take the launch, and nothing is made.

    Example: course finops launch trn1.2xlarge ami-12c6146b --for 4h --owner ada --project bert --budget 10 --role ARN
    """
    from course_lib.cli import user_errors
    from course_lib.cli_values import script_text
    from course_lib.finops.aws import RealAccount
    from course_lib.finops.ephemeral import EXPIRES, LaunchRequest, Lease, plan_launch, try_launch
    from course_lib.finops.ephemeral import launch as launch_now

    with user_errors():
        text = script_text("script", script) if script else ""
        account = RealAccount()
        lease = Lease(asked["owner"], asked["project"], _end(account, life, until))
        request = LaunchRequest(
            instance_type,
            asked["region"],
            image,
            lease,
            asked["budget"],
            asked["role"],
            count=asked["count"],
            purchase="spot" if asked["spot"] else "on_demand",
            usd_per_hour=asked["usd_per_hour"],
            script=text,
        )
        plan = plan_launch(account, request)
        click.echo(str(plan))
        try_launch(account, plan)
        if until is None:
            end = lease.tags()[EXPIRES]
            click.echo(f"To ask for this same launch again, and get no second one: --until {end} instead of --for.")
        if apply:
            click.echo(f"Launched: {', '.join(launch_now(account, request).instances)}")
        else:
            click.echo(DRY)


def _end(account: Clients, life: str | None, until: str | None) -> datetime:
    """The end of the lease that was asked for, one way or the other."""
    from course_lib.catalog import InputError
    from course_lib.cli_cloud import duration
    from course_lib.cli_values import moment
    from course_lib.finops.aws import aws_now

    if life is not None and until is not None:
        raise InputError.of("until", until, f"and for={life!r} are both given", "give one of the two")
    if until is not None:
        return moment("until", until).replace(microsecond=0)
    if life is None:
        raise InputError("the lease has no end. Remedy: add --for 4h, or --until 2026-12-01T18:00:00Z.")
    span = duration(life)
    return (aws_now(account) + span).replace(microsecond=0)
