"""What is checked before a run: a gradebook that can be used, and no other run in the same class folder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import make_url

from grading.errors import GradingError
from grading.layout import Layout


@contextmanager
def one_run(layout: Layout) -> Iterator[None]:
    """Keeps the class folder to one run at a time; the system lets go of it however the run ends.

    Raises:
        GradingError: if another run is at work there.
    """
    layout.work.mkdir(parents=True, exist_ok=True)
    with (layout.work / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise GradingError(
                f"Another course grade is at work in {layout.grading}; one at a time. Run again when it has ended."
            ) from error
        yield


def require_database(db_url: str) -> None:
    """Refuses a gradebook's URL that can't work, before anything is graded.

    Raises:
        GradingError: naming what is missing.
    """
    url = make_url(db_url)
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise GradingError(
            f"{db_url} is a gradebook in memory, gone when the command ends. Name a file: sqlite:///a.db"
        )
    try:
        url.get_dialect().import_dbapi()
    except ModuleNotFoundError as error:
        raise GradingError(
            f"A gradebook at {url.drivername}: needs the Python module {error.name}, which is not installed. "
            "Install that database driver, or name a file: sqlite:///a.db"
        ) from error


def shown_url(db_url: str) -> str:
    """A gradebook's URL without its password."""
    return make_url(db_url).render_as_string(hide_password=True)
