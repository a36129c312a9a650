"""`course labs build | check | list`: the pipeline's commands."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table


@click.group()
def labs() -> None:
    """Make labs/ from solutions/, and prove them with the gates.

    Example: course labs build && course labs check
    """


@labs.command()
@click.argument("names", metavar="[LAB]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print the results for other programs.")
def build(names: tuple[str, ...], as_json: bool) -> None:
    """Make each LAB (all, when none is named) from its text source with nbgrader.

    Example: course labs build lab00-cost-of-a-run
    """
    from grading.release.main import regenerate

    with _progress("making", hidden=as_json) as say:
        results = regenerate(names or None, on_lab=say)
    rows = [(r.lab, r.error or ("made" if r.changed else "unchanged"), f"{r.seconds:.1f} s") for r in results]
    _show(results, as_json, ("lab", "result", "time"), rows, [not r.error for r in results])


@labs.command()
@click.argument("names", metavar="[LAB]...", nargs=-1)
@click.option("--only", multiple=True, metavar="GATE", help="Check this gate only; may be given several times.")
@click.option("--json", "as_json", is_flag=True, help="Print the results for other programs.")
def check(names: tuple[str, ...], only: tuple[str, ...], as_json: bool) -> None:
    """Check each LAB (all, when none is named) at every gate.

    Example: course labs check --only nothing-leaks
    """
    from grading.release.errors import ReleaseError
    from grading.release.main import check as check_labs

    try:
        with _progress("checking", hidden=as_json) as say:
            results = check_labs(names or None, only=only or None, on_gate=lambda lab, gate: say(f"{lab}: {gate}"))
    except ReleaseError as error:
        raise click.ClickException(str(error)) from error
    rows = [(r.lab, r.gate, "\n".join(r.problems) or "passes", r.measured, f"{r.seconds:.1f} s") for r in results]
    _show(results, as_json, ("lab", "gate", "verdict", "measured", "time"), rows, [r.passed for r in results])


@labs.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the list for other programs.")
def list_(as_json: bool) -> None:
    """List labs and gates, with what each gate proves and the defect it was made for.

    Example: course labs list
    """
    from grading.release.course import COURSE
    from grading.release.gates import GATES

    if as_json:
        gates = [{"gate": g.name, "proves": g.proves, "made_for": g.made_for} for g in GATES]
        click.echo(json.dumps({"labs": COURSE.lab_ids(), "gates": gates}, indent=2))
        return
    click.echo("Labs: " + ", ".join(COURSE.lab_ids()))
    _print_table(("gate", "proves that", "made for"), [(g.name, g.proves, g.made_for) for g in GATES])


def _show(
    results: Sequence[object],
    as_json: bool,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    good: Sequence[bool],
) -> None:
    """Print results and leave with 1 if any is bad."""
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(r) for r in results], indent=2))  # type: ignore[call-overload]
    else:
        _print_table(columns, rows, good)
    if not all(good):
        raise SystemExit(1)


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], good: Sequence[bool] = ()) -> None:
    table = Table(title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for number, row in enumerate(rows):
        table.add_row(*row, style="red" if good and not good[number] else "")
    console = Console()
    # Into a file or pipe a wide table is kept whole rather than folded to 80 columns.
    Console(width=None if console.is_terminal else 160).print(table)


@contextmanager
def _progress(verb: str, *, hidden: bool) -> Iterator:
    """A spinner with what is being worked on, on stderr, so that stdout holds only the result."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=hidden) as progress:
        task = progress.add_task(verb, total=None)
        yield lambda what: progress.update(task, description=f"{verb} {what}")
