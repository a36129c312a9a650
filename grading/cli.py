"""The commands `course grade` and `course gradebook`: thin faces over `grading.run` and `grading.gradebook`.

Only click is imported here at the top, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from grading.layout import Layout

DEFAULT_LAB = "lab00-cost-of-a-run"
WARNING = (
    "Warning: --no-sandbox runs learners' code as you, with your files and your network. "
    "Use it only for submissions that you trust."
)


@click.command()
@click.argument("lab", default=DEFAULT_LAB)
@click.option("--demo", is_flag=True, help="Make the demo class in grading/demo/ and grade it.")
@click.option("--db", "db_url", metavar="URL", help="Gradebook as an SQLAlchemy URL.  [default: grading/gradebook.db]")
@click.option("--learner", "learners", multiple=True, metavar="ID", help="Grade this learner alone; may be repeated.")
@click.option("--jobs", type=click.IntRange(1, 256), help="Submissions at a time.  [default: one for each core]")
@click.option("--cell-seconds", type=click.IntRange(1), help="Time limit of one cell.  [default: 60]")
@click.option("--total-seconds", type=click.IntRange(1), help="Time limit of one submission.  [default: 600]")
@click.option("--memory-mib", type=click.IntRange(256), help="Memory of one submission.  [default: 3072]")
@click.option("--force", is_flag=True, help="Grade again what has not changed.")
@click.option("--no-sandbox", is_flag=True, help="Run learners' code unprotected.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def grade(
    lab: str,
    demo: bool,
    db_url: str | None,
    learners: tuple[str, ...],
    jobs: int | None,
    cell_seconds: int | None,
    total_seconds: int | None,
    memory_mib: int | None,
    force: bool,
    no_sandbox: bool,
    as_json: bool,
) -> None:
    """Grade a class's submissions of LAB with nbgrader, in the sandbox.

    Submissions lie in grading/submitted/<learner>/<LAB>/. Grades go to the gradebook, executed notebooks to
    grading/autograded/, learners' pages to grading/feedback/ and a table of grades to grading/exports/<LAB>.csv. What
    has not changed since the last run is not graded again, and grades given by hand are never touched.

    Example: course grade lab00-cost-of-a-run --learner ada --learner grace
    """
    from dataclasses import replace

    from grading.layout import DEMO, Layout
    from grading.limits import MIB, Limits

    with _plain_errors(), _progress() as progress:
        layout, limits = Layout(), Limits()
        if demo:
            from grading.demo_class import CELL_SECONDS, LIMITS, make, prepare

            layout, limits, cell_seconds = DEMO, LIMITS, cell_seconds or CELL_SECONDS
            prepare(layout, cell_seconds, limits.as_dict())
            make(lab, layout)
        if total_seconds:
            limits = replace(limits, wall_seconds=total_seconds)
        if memory_mib:
            limits = replace(limits, memory_bytes=memory_mib * MIB)
        if no_sandbox:
            click.echo(WARNING, err=True)
        from grading.run import grade as run

        summary = run(
            lab,
            layout=layout,
            db_url=db_url,
            sandbox=not no_sandbox,
            jobs=jobs,
            learners=learners or None,
            limits=limits,
            cell_seconds=cell_seconds,
            force=force,
            progress=progress,
        )
    if as_json:
        from grading.table import summary_data

        click.echo(json.dumps(summary_data(summary), indent=2))
    else:
        _print_summary(summary, layout)
    if demo:
        from grading.demo_class import undeserved

        differences = undeserved({o.who: o.score for o in summary.outcomes}, lab)
        for line in differences:
            click.echo(f"Not as deserved: {line}", err=True)
        if not differences:
            click.echo("Every demo submission got the points that it deserves.", err=True)
    if summary.failed:
        sys.exit(1)


@click.command()
@click.option("--demo", is_flag=True, help="The demo class's gradebook.")
@click.option("--db", "db_url", metavar="URL", help="Gradebook as an SQLAlchemy URL.  [default: grading/gradebook.db]")
@click.option("--lab", "labs", multiple=True, metavar="LAB", help="Show this lab alone; may be repeated.")
@click.option("--csv", "csv_path", type=click.Path(dir_okay=False, path_type=Path), help="Write a CSV for an LMS.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def gradebook(demo: bool, db_url: str | None, labs: tuple[str, ...], csv_path: Path | None, as_json: bool) -> None:
    """Show the marks in the gradebook: learners by labs.

    Example: course gradebook --csv marks.csv
    """
    from grading.gradebook import marks, write_csv
    from grading.layout import DEMO, Layout

    with _plain_errors():
        layout = DEMO if demo else Layout()
        table = marks(db_url or layout.default_db_url, labs=labs or None)
        if csv_path is not None:
            write_csv(table, csv_path)
            click.echo(f"{len(table.learners)} learners written to {csv_path}", err=True)
    if as_json:
        click.echo(json.dumps(table.as_dict(), indent=2))
    elif csv_path is None:
        from rich.console import Console

        from grading.gradebook import marks_table

        Console().print(marks_table(table))


def _print_summary(summary: Any, layout: Layout) -> None:
    from rich.console import Console

    from grading.guard import shown_url
    from grading.table import summary_table

    if not summary.outcomes:
        click.echo(f"No submission of {summary.lab} in {layout.submitted}; course grade --demo grades a demo class.")
        return
    Console().print(summary_table(summary))
    click.echo(f"{len(summary.outcomes)} submissions in {summary.seconds:.0f} s. Grades: {summary.export}")
    click.echo(f"Feedback: {layout.feedback}  Gradebook: {shown_url(summary.db_url)}")


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Turns the errors meant for people into one line each."""
    from sqlalchemy.exc import SQLAlchemyError

    from grading.errors import GradingError, SandboxUnavailableError

    try:
        yield
    except (GradingError, SandboxUnavailableError) as error:
        raise click.ClickException(str(error)) from error
    except SQLAlchemyError as error:
        first = str(error).splitlines()[0]
        raise click.ClickException(f"The gradebook cannot be used: {first}. Check --db.") from error
    except BrokenPipeError:
        raise  # who reads the output has seen enough, and click ends quietly
    except OSError as error:
        where = error.filename or "A file"
        what = f"{where} cannot be used: {error.strerror}."
        raise click.ClickException(f"{what} Check the path, its permissions and the space left.") from error


@contextmanager
def _progress() -> Iterator[Any]:
    """A progress bar on a terminal, lines elsewhere; both on stderr, so that --json stays clean."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total, text: click.echo(f"[{done}/{total}] {text}", err=True)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def advance(done: int, total: int, text: str) -> None:
            bar.update(task, description=text, completed=done, total=total)

        yield advance
