"""Files and folders that are whole or not there, and that outlive a power cut."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A draft of the same name, in a folder beside `path`, that takes its place when the block ends without an error.

    A reader in another process sees all of the file or what was there before. After an error, a full disk or an
    interrupt the draft is gone.

    Args:
        path: of the file; its folder is there.
    """
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        draft = Path(folder) / path.name
        yield draft
        os.replace(draft, path)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a power cut, as fsync does for a file's bytes."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
