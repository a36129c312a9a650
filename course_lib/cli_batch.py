"""The commands `course finops batch ...`: AWS Batch from a TOML file, and the same job on this machine.

Only click is imported here at the top, so that `--help` answers at once. Everything that changes an account shows what
it would do, and does it with --apply only.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from course_lib.finops.batch import JobFile, LocalRun

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
APPLY = click.option("--apply", is_flag=True, help="Do it; without this option nothing changes.")
FILE = click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
DRY = "Nothing was changed. To do it, add --apply."


@click.group()
def batch() -> None:
    """Jobs that end by themselves: AWS Batch with a bound on the bill, and the same job here.

    \b
    Example: course finops batch example > job.toml
    Example: course finops batch plan job.toml
    Example: course finops batch apply job.toml && course finops batch submit job.toml --apply
    Example: course finops batch run-local job.toml run
    """


@batch.command()
def example() -> None:
    """Print a job file to start from: it can be applied as it is, and its lease ends a day from now.

    Example: course finops batch example > job.toml
    """
    from course_lib.finops.batch import example_job_file

    click.echo(example_job_file(datetime.now(UTC)), nl=False)


@batch.command()
@FILE
@JSON
def plan(path: Path, as_json: bool) -> None:
    """Say what `apply` would make, and what a submission could cost; changes nothing.

    Example: course finops batch plan job.toml
    """
    _set_up(path, as_json, apply=False)


@batch.command("apply")
@FILE
@JSON
def apply_command(path: Path, as_json: bool) -> None:
    """Make what the plan shows; what is there and equal stays.

    An environment without jobs runs no instance, and costs nothing.

    Example: course finops batch apply job.toml
    """
    _set_up(path, as_json, apply=True)


@batch.command("submit")
@FILE
@APPLY
@JSON
def submit_command(path: Path, apply: bool, as_json: bool) -> None:
    """Check the job's worst case against its budget; with --apply submit it.

    Example: course finops batch submit job.toml --apply
    """
    from course_lib.cli import print_json, user_errors
    from course_lib.finops.aws import RealAccount
    from course_lib.finops.batch import plan_submission, submit

    with user_errors():
        asked, account = _read(path), RealAccount()
        submission = plan_submission(account, asked.job, asked.fleet.name, asked.region, asked.depends_on)
        if not as_json:
            click.echo(str(submission))
        job_id = submit(account, submission, asked.region) if apply else None
    if as_json:
        told = {"parameters": submission.parameters, "usd_at_most": submission.worst.usd, "job_id": job_id}
        print_json({**told, "applied": apply})
    else:
        click.echo(f"Submitted: {job_id}" if apply else DRY)


@batch.command("publish")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("uri")
@APPLY
@JSON
def publish_command(folder: Path, uri: str, apply: bool, as_json: bool) -> None:
    """Say what uploading FOLDER to URI as a job's input would write; with --apply upload it.

    The files go first; a manifest with their checksums comes last, and makes them an input.

    \b
    Example: course finops batch publish data s3://bucket/inputs
    Example: course finops batch publish data s3://bucket/inputs --apply
    """
    from course_lib.cli import print_json, user_errors
    from course_lib.finops.aws import RealAccount
    from course_lib.finops.batch import apply_publish, plan_publish

    with user_errors():
        account = RealAccount()
        planned = plan_publish(account, folder, uri)
        if not as_json:
            click.echo(str(planned))
        if apply:
            apply_publish(account, planned)
    if as_json:
        told = {"uri": uri, "files": planned.files, "replaced": planned.replaced, "left": planned.left}
        print_json({**told, "applied": apply})
    else:
        click.echo(f"{len(planned.files)} files and their manifest are in {uri}" if apply else DRY)


@batch.command("run-local")
@FILE
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--parallel", default=2, show_default=True, help="How many children of an array at a time.")
@JSON
def run_local_command(path: Path, folder: Path, parallel: int, as_json: bool) -> None:
    """Run the job's command here, with Batch's environment, timeout and retries; logs go to FOLDER.

    boto3 in the job finds the account by your AWS_ variables: practise with `eval "$(course cloud env)"`.
    Exits with 1 if a child failed for good.

    Example: course finops batch run-local job.toml run --parallel 2
    """
    from course_lib.cli import ended_in_order, user_errors
    from course_lib.finops.batch import run_local

    aws = {name: value for name, value in os.environ.items() if name.startswith("AWS_") or name == "NO_PROXY"}
    with user_errors(), ended_in_order():
        run = run_local(_read(path).job, folder, aws, parallel=parallel)
    _show_run(run, as_json)
    if run.failed:
        raise SystemExit(1)


@batch.command("teardown")
@FILE
@APPLY
@JSON
def teardown_command(path: Path, apply: bool, as_json: bool) -> None:
    """Say what would be taken away, in order; with --apply close, end and delete it.

    Example: course finops batch teardown job.toml --apply
    """
    from course_lib.cli import print_json, user_errors
    from course_lib.finops.aws import RealAccount
    from course_lib.finops.batch import teardown

    with user_errors():
        asked = _read(path)
        removals = teardown(RealAccount(), asked.fleet, asked.job, asked.region, apply=apply)
    if as_json:
        print_json({"applied": apply, "steps": [removal.what for removal in removals]})
        return
    for removal in removals:
        click.echo(f"{'done' if removal.done else 'will'} {removal.what}")
    click.echo("Nothing is left." if not removals or apply else DRY)


def _read(path: Path) -> JobFile:
    from course_lib.finops.batch import read_job_file

    return read_job_file(path)


def _set_up(path: Path, as_json: bool, *, apply: bool) -> None:
    from course_lib.cli import print_json, user_errors
    from course_lib.finops.aws import RealAccount
    from course_lib.finops.batch import apply_setup, plan_setup

    with user_errors():
        asked, account = _read(path), RealAccount()
        made = plan_setup(account, asked.fleet, asked.job, asked.region)
        if apply:
            made = apply_setup(account, made)
    if as_json:
        steps = [vars(step) for step in made.steps]
        print_json({"applied": apply, "usd_at_most": made.worst.usd, "steps": steps})
        return
    click.echo(str(made))
    if apply:
        click.echo(f"{len(made.changes)} made, {len(made.steps) - len(made.changes)} there already.")
    else:
        click.echo(f"Nothing was changed. To do it: course finops batch apply {path}")


def _show_run(run: LocalRun, as_json: bool) -> None:
    from course_lib.cli import print_json, print_table

    rows: list[dict[str, Any]] = [
        {
            "child": one.index,
            "attempt": one.attempt,
            "exit code": one.ended.exit_code,
            "seconds": round(one.seconds, 1),
            "status reason": "" if one.succeeded else one.ended.status_reason,
            "then": one.verdict,
        }
        for one in run.attempts
    ]
    failed = run.failed
    if as_json:
        print_json({"job": run.job.name, "attempts": rows, "failed": failed})
        return
    columns = ("child", "attempt", "exit code", "seconds", "status reason", "then")
    shown = [tuple("" if value is None else str(value) for value in row.values()) for row in rows]
    print_table(f"{run.job.name}, here", columns, shown)
    click.echo(f"{run.job.array_size - len(failed)} of {run.job.array_size} children succeeded.")
