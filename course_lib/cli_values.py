"""Values that commands are given, read before the first call to an account: moments, scripts, files to write.

Each is refused in one line that names the value, what is expected, and what to do. Only click is imported here at the
top, so that `--help` answers at once.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click


class OutFile(click.Path):
    """A file that a command will write: its folder must be there, and take new files, before anything else is done."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, once a file could be made beside it.

        Raises:
            click.ClickException: for a folder that is missing or can't be written.
        """
        from course_lib.catalog import InputError

        path: Any = super().convert(value, param, ctx)
        try:
            # asked by doing: permissions don't tell of a read-only disk, or of what root may do
            tempfile.TemporaryFile(dir=path.parent).close()
        except OSError as error:
            name = "file" if param is None else param.opts[-1]  # an argument's is its name
            wrong = f"can't be written: {error.strerror}: {path.parent}"
            told = InputError.of(name, str(path), wrong, "make that folder first, or give a path in another")
            raise click.ClickException(str(told)) from error
        return path


OUT_FILE = OutFile()


def moment(name: str, text: str) -> datetime:
    """A moment such as "2026-12-01T08:00:00Z".

    Args:
        name: of the option, for the error.
        text: as it was typed.

    Returns:
        The moment, in UTC.

    Raises:
        InputError: for what is no moment, or names no time zone.
    """
    from course_lib.catalog import InputError

    remedy = "write date, time and zone, such as 2026-12-01T08:00:00Z"
    try:
        told = datetime.fromisoformat(text)
        if told.tzinfo is None:
            raise InputError.of(name, text, "names no time zone", remedy)
        return told.astimezone(UTC)
    except InputError:
        raise
    except (ValueError, OverflowError):
        raise InputError.of(name, text, "is no moment", remedy) from None


def script_text(name: str, path: Path) -> str:
    """The text of a script.

    Raises:
        InputError: for a file that isn't UTF-8.
    """
    from course_lib.catalog import InputError

    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        wrong = f"is no UTF-8 text: byte 0x{error.object[error.start]:02x} at position {error.start:,}"
        raise InputError.of(name, str(path), wrong, "give a shell script saved as UTF-8") from None
