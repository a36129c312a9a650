"""A folder that is whole or not there: written under a hidden name, renamed at the end."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from course_lib.moe.errors import MoEError
from course_lib.runtime import sync_folder


def check_new(folder: Path) -> None:
    """Raise `MoEError` for a folder that holds something, or a file of that name."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise MoEError.of("folder", str(folder), "is there already", "give another, or delete it first")


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """An empty draft that becomes `folder` when the block ends without an error, and else disappears.

    Raises:
        MoEError: when the folder holds something already, or can't be written to.
    """
    check_new(folder)
    draft = folder.with_name(f".{folder.name}.draft-{uuid.uuid4().hex[:8]}")
    try:
        draft.mkdir(parents=True)
        yield draft
        sync_folder(draft)
        draft.rename(folder)  # POSIX: as a whole or not at all, and never onto a folder that holds something
        sync_folder(folder.parent)
    except OSError as error:
        remedy = "give one that this user may write to, on a disk with room"
        raise MoEError.of("folder", str(folder), f"can't be written to ({error.strerror})", remedy) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
