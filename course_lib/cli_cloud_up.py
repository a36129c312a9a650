"""The command `course cloud up`, and the options that all of `course cloud` share.

Only click is imported here at the top, so that `--help` answers at once.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

FOLDER = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the account keeps its address, ledger and log.  [default: in your state folder]",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def state_folder(folder: Path | None) -> Path:
    """The folder that was asked for, or the user's own for such things (XDG_STATE_HOME)."""
    if folder is not None:
        return folder
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "training-at-scale" / "cloud"


@click.command()
@FOLDER
@click.option("--port", default=0, help="To serve on.  [default: a free one]")
@click.option("--speed", default=1.0, show_default=True, help="Simulated seconds per real second; 0 stands still.")
@click.option("--start", help="The account's time at the beginning, such as 2026-12-01T08:00:00+00:00.  [default: now]")
@click.option("--seed", default=0, show_default=True, help="Of faults that come by chance, and of the account's past.")
@click.option("--empty", is_flag=True, help="Begin with nothing in it, at once.")
@JSON
@click.pass_context
def up(
    context: click.Context,
    folder: Path | None,
    port: int,
    speed: float,
    start: str | None,
    seed: int,
    empty: bool,
    as_json: bool,
) -> None:
    """Start the account, or say where it is if it is up.

    It begins with a past: 90 days of a small research group that ended just now, with what it left running. Settings
    that an account which is up doesn't have are an error, not ignored.

    \b
    Example: course cloud up --speed 60
    Example: course cloud up --empty
    """
    from course_lib.cli import ended_in_order, print_json, user_errors
    from course_lib.cli_values import moment
    from course_lib.finops.cloud import find
    from course_lib.finops.cloud import up as start_account
    from course_lib.finops.cloud.story import STORIES

    with user_errors(), ended_in_order():
        begin = moment("start", start) if start is not None else None
        story = None if empty else STORIES[0]
        given = {"port": port, "speed": speed, "start": begin, "seed": seed, "story": story}
        if there := find(state_folder(folder)):
            words = {"story" if name == "empty" else name: name for name in ("port", "speed", "start", "seed", "empty")}
            source = {name: context.get_parameter_source(word) for name, word in words.items()}
            there.insist(
                {name: given[name] for name in given if source[name] is click.core.ParameterSource.COMMANDLINE}
            )
        if not there and story and not as_json:
            click.echo("Telling the account 90 days of its past; some seconds ...", err=True)
        running, new = start_account(state_folder(folder), port=port, speed=speed, start=begin, seed=seed, story=story)
    if as_json:
        print_json({"url": running.url, "pid": running.pid, "folder": running.folder, "new": new})
        return
    click.echo(f"The practice account {'is up' if new else 'was up already'}: {running.url}")
    click.echo(f"It began {'with the past of a ' + running.story.replace('-', ' ') if running.story else 'empty'}.")
    click.echo(f"Its time is {running.door.now():%Y-%m-%d %H:%M:%S} UTC. Ledger and log: {running.folder}")
    click.echo('To use it in this shell:  eval "$(course cloud env)"   To end it:  course cloud down')
