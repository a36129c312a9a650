"""The `course` command: a thin face over the library's rooms.

Each command imports what it needs when it runs, so that `course --help` answers at once.
"""

from __future__ import annotations

import importlib
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from course_lib import __version__

if TYPE_CHECKING:
    from course_lib.runtime import Finding

# Commands that live in other rooms: where, and the line that `course --help` shows without importing them.
ELSEWHERE = {
    "cloud": ("course_lib.cli_cloud:cloud", "A practice AWS account on this machine: real boto3, real HTTP, no money."),
    "cost": ("course_lib.cli_cost:cost", "What a run costs, and why: estimates, bills, comparisons, break-evens."),
    "finops": ("course_lib.cli_finops:finops", "Instances that end by themselves, and what ends those that don't."),
    "labs": ("grading.release.cli:labs", "Make labs/ from solutions/, and prove them with the gates."),
    "grade": ("grading.cli:grade", "Grade a class's submissions with nbgrader in the sandbox."),
    "gradebook": ("grading.cli:gradebook", "Show or export the marks in the gradebook."),
    "moe": ("course_lib.cli_moe:moe", "Serve a mixture of experts, load it with requests, or let it write."),
    "plan": ("course_lib.cli_plan:plan", "Find the best parallel layout of a training run: memory, time and money."),
}


class Course(click.Group):
    """A command group that imports the commands of ELSEWHERE only when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in alphabetical order."""
        return sorted([*super().list_commands(ctx), *ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command, imported if it lives elsewhere; near misses are named by click itself."""
        if cmd_name not in ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = ELSEWHERE[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help's list of commands, from texts at hand."""
        own = {name: command.get_short_help_str(100) for name, command in self.commands.items()}
        texts = own | {name: text for name, (_, text) in ELSEWHERE.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(texts.items()))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table that fits the terminal; without rows, a line that says so."""
    from rich.console import Console
    from rich.table import Table

    if not rows:
        click.echo(f"{title}: nothing to list.")
        return
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    # Into a file or pipe a wide table is kept whole rather than folded to 80 columns.
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def print_json(value: Any) -> None:
    """Print a value for other programs to read."""
    click.echo(json.dumps(value, indent=2))


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn the library's ValueErrors into one clear line on the terminal instead of a traceback."""
    try:
        yield
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        if error.filename is None:  # no file of the user's
            raise
        told = f"{error.filename}: {error.strerror}. Remedy: give a path that can be read and written."
        raise click.ClickException(told) from error


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that what it started is ended, too."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@click.group(cls=Course, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="course")
def main() -> None:
    """Training at Scale: train large models without wasting the money.

    Example: course cost llama3-8b 1e12 p5.48xlarge
    """


@main.command()
@click.option("--deep", is_flag=True, help="Also run Horovod and Ray on two processes (about a minute).")
@click.option("--summary", is_flag=True, help="One line, and the rows that need attention.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def doctor(deep: bool, summary: bool, as_json: bool) -> None:
    """Say what this machine has and lacks for the course.

    Exits with 1 only when the main job (book, lab, graded class) cannot run here.

    Example: course doctor --deep
    """
    from course_lib.runtime import check_horovod_runs, check_ray_runs, examine, exit_code

    extra = [_check_sandbox]
    if deep:
        extra += [check_horovod_runs, check_ray_runs]
    findings = examine(extra)
    if as_json:
        print_json([finding.as_dict() for finding in findings])
    else:
        shown = [f for f in findings if f.status in ("missing", "wrong")] if summary else findings
        if shown:
            rows = [(f.name, f.status, f.detail, f.remedy) for f in shown]
            print_table("course doctor", ("what", "status", "found", "remedy"), rows)
        good = sum(finding.status in ("OK", "note") for finding in findings)
        verdict = "cannot run here: see the remedies" if exit_code(findings) else "can run here"
        click.echo(f"{good} of {len(findings)} checks are in order; the course's main job {verdict}.")
    sys.exit(exit_code(findings))


def _check_sandbox() -> Finding:
    """Whether learners' code can be run in the grading sandbox on this machine."""
    import shutil

    from course_lib.runtime import Finding
    from grading.errors import SandboxUnavailableError
    from grading.sandbox import working_sandbox

    try:
        working_sandbox()
    except SandboxUnavailableError as error:
        what, _, remedy = str(error).partition(". ")
        if shutil.which("bwrap") is None:
            remedy = "sudo apt-get install bubblewrap"
        return Finding("sandbox", "missing", what, remedy, required=True)
    return Finding("sandbox", "OK", "bubblewrap starts an isolated process", required=True)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the faults as JSON.")
def validate(as_json: bool) -> None:
    """Check every row of the catalog against its schema.

    Example: course validate
    """
    from course_lib.catalog import check_catalog

    faults = check_catalog()
    if as_json:
        print_json(faults)
    else:
        for fault in faults:
            click.echo(fault)
        click.echo(f"{len(faults)} faults in the catalog" if faults else "the catalog is in order")
    sys.exit(int(bool(faults)))


if __name__ == "__main__":
    main()
