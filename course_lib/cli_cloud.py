"""The commands `course cloud ...`: a practice AWS account on this machine, up, down, and in between.

Only click is imported here at the top, so that `--help` answers at once.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from course_lib.cli_cloud_up import FOLDER, JSON, state_folder, up

if TYPE_CHECKING:
    from course_lib.finops.cloud import BackDoor

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST_DAYS = 3650


def duration(text: str) -> timedelta:
    """A duration such as "90s", "30m", "2h" or "1d12h".

    Raises:
        ValueError: for anything else.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no duration. Remedy: write it as 90s, 30m, 2h or 1d12h.")
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    if seconds > LONGEST_DAYS * UNITS["d"]:
        raise ValueError(f"{text!r} is more than {LONGEST_DAYS} days. Remedy: give a shorter time.")
    return timedelta(seconds=seconds)


@click.group()
def cloud() -> None:
    """A practice AWS account on this machine: real boto3, real HTTP, no money.

    \b
    Example: course cloud up --speed 60
    Example: eval "$(course cloud env)" && aws ec2 describe-instances
    Example: course cloud advance 2h
    Example: course cloud down
    """


cloud.add_command(up)


@cloud.command()
@FOLDER
def down(folder: Path | None) -> None:
    """End the account and everything in it; its ledger stays.

    Example: course cloud down
    """
    from course_lib.finops.cloud import down as end_account

    ended = end_account(state_folder(folder))
    click.echo("The practice account is down." if ended else "No practice account was up.")


@cloud.command()
@FOLDER
@JSON
def status(folder: Path | None, as_json: bool) -> None:
    """Say where the account is, what time it has, and how many calls it got.

    Exits with 1 when none is up.

    Example: course cloud status
    """
    from course_lib.cli import print_json

    running, door = _running(folder)
    records = door.records()
    told = {
        "url": running.url,
        "now": door.now().isoformat(),
        "calls": sum(record["actor"] == "caller" for record in records),
        "errors": sum(record["actor"] == "caller" and bool(record["error"]) for record in records),
        "happenings": sum(record["actor"] != "caller" for record in records),
    }
    if as_json:
        print_json(told)
    else:
        for name, value in told.items():
            click.echo(f"{name:11} {value}")


@cloud.command()
@FOLDER
def env(folder: Path | None) -> None:
    """Print what a shell needs so that boto3 and the AWS CLI talk to the account, and to nothing else.

    Example: eval "$(course cloud env)"
    """
    from course_lib.finops.aws import practice_environment
    from course_lib.finops.cloud import find

    if find(state_folder(folder)) is None:
        # what follows in `eval "$(course cloud env)" && aws ...` must not run, least of all against a real account
        click.echo("false")
    running, _ = _running(folder)
    click.echo("unset AWS_PROFILE AWS_SESSION_TOKEN AWS_DEFAULT_PROFILE")
    variables = practice_environment(running.url)
    host = variables.pop("NO_PROXY")
    for name, value in variables.items():
        click.echo(f"export {name}={value}")
    click.echo(_among("NO_PROXY", host))
    # where it is set, even to nothing, Python reads this one and not the other
    click.echo(f'if [ -n "${{no_proxy+set}}" ]; then {_among("no_proxy", host)}; fi')


@cloud.command()
@click.argument("time")
@FOLDER
def advance(time: str, folder: Path | None) -> None:
    """Turn the account's clock forward by TIME; what falls due on the way happens.

    Example: course cloud advance 2h30m
    """
    from course_lib.cli import user_errors
    from course_lib.finops.cloud import happened

    running, door = _running(folder)
    with user_errors():
        before = len(door.records())
        now = door.advance(duration(time))
    click.echo(f"It is {now:%Y-%m-%d %H:%M:%S} UTC in {running.url}.")
    for line in happened(door.records(before)):
        click.echo(line)


@cloud.command()
@click.argument("kind")
@click.argument("calls", default="*")
@click.option("--region", default="*", show_default=True, help="With wildcards.")
@click.option("--times", type=int, help="How many calls fail.  [default: all]")
@click.option("--skip", default=0, show_default=True, help="How many pass first.")
@click.option("--chance", default=1.0, show_default=True, help="Probability that a call fails.")
@FOLDER
def fault(kind: str, calls: str, folder: Path | None, **rule: Any) -> None:
    """Let CALLS fail from now on with an error of KIND.

    KIND is throttling, capacity, denied, internal, unavailable or skew. CALLS names a service and an operation, with
    wildcards.

    \b
    Example: course cloud fault throttling 'ec2.Describe*' --chance 0.3
    Example: course cloud fault capacity ec2.RunInstances --times 2
    """
    from course_lib.cli import user_errors

    _, door = _running(folder)
    with user_errors():
        door.inject(kind, calls, **rule)
    click.echo(f"Calls {calls} meet {kind} from now on. To end all faults: course cloud heal")


@cloud.command()
@FOLDER
def heal(folder: Path | None) -> None:
    """End all faults.

    Example: course cloud heal
    """
    _, door = _running(folder)
    door.heal()
    click.echo("No faults.")


@cloud.command()
@click.option("--since", default=0, show_default=True, help="The first record's number.")
@FOLDER
@JSON
def calls(since: int, folder: Path | None, as_json: bool) -> None:
    """List what was asked of the account, and what happened in it by itself.

    Example: course cloud calls --since 10
    """
    from course_lib.cli import print_json, print_table

    _, door = _running(folder)
    records = door.records(since)
    if as_json:
        print_json(records)
        return
    columns = ("number", "time", "actor", "call", "region", "status", "error")
    rows = [
        (
            str(record["number"]),
            record["time"][:19],
            record["actor"],
            f"{record['service']}.{record['operation']}",
            record["region"],
            str(record["status"]),
            record["error"],
        )
        for record in records
    ]
    print_table("the account's ledger", columns, rows)


def _among(name: str, host: str) -> str:
    """Shell code, for sh as well as bash, that puts a host into a list with commas, once, and keeps what is there."""
    there = rf"*[,\ ]{host}[,\ ]*|,\*,"  # a lone * is every host, and is none among others
    add = f'{name}="${{{name}:+${name},}}{host}"'
    return f'case ",${{{name}:-}}," in {there}) ;; *) {add} ;; esac; export {name}'


def _running(folder: Path | None) -> tuple[Any, BackDoor]:
    from course_lib.finops.cloud import find

    running = find(state_folder(folder))
    if running is None:
        raise click.ClickException("no practice account is up. Remedy: course cloud up")
    return running, running.door
