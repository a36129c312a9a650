"""The folder of a run's checkpoints: drafts become checkpoints by one rename, after all their bytes are on the disk.

POSIX renames a directory as a whole or not at all, so whatever dies half-way leaves a draft, which nobody loads.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_lib.distributed.checkpoints.errors import CheckpointError
from course_lib.runtime import sync_folder

DRAFT = ".draft-"
MANIFEST = "manifest.json"
NAME = re.compile(r"step-(\d+)(?:\.(\d+))?")  # a step that was saved again gets a number behind a dot


@dataclass(frozen=True)
class Saved:
    """A finished checkpoint.

    Args:
        path: its folder.
        step: optimizer steps that had been taken.
        attempt: 0, or how many times this step had been saved before.
    """

    path: Path
    step: int
    attempt: int

    def manifest(self) -> dict[str, Any]:
        """What was written about it at the end of the save.

        Raises:
            CheckpointError: when it can't be read.
        """
        try:
            read: dict[str, Any] = json.loads((self.path / MANIFEST).read_text())
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{self.path / MANIFEST} can't be read ({error}). {self._remedy()}") from error
        return read

    def check(self) -> None:
        """Raise `CheckpointError` unless every file is there with all its bytes."""
        for name, size in self.manifest()["files"].items():
            path = self.path / name
            found = path.stat().st_size if path.exists() else None
            if found != size:
                what = "is missing" if found is None else f"has {found} bytes, but {size} were written: it was cut off"
                raise CheckpointError(f"{path} {what}. {self._remedy()}")

    def _remedy(self) -> str:
        return "Remedy: restore it from a copy, or load an earlier checkpoint with step=."


@dataclass(frozen=True)
class Folder:
    """Where a run's checkpoints lie, on a disk that all its ranks see."""

    path: Path

    def saved(self) -> list[Saved]:
        """All finished checkpoints, oldest first."""
        if not self.path.is_dir():
            return []
        matches = [(path, NAME.fullmatch(path.name)) for path in self.path.iterdir()]
        found = [Saved(path, int(m[1]), int(m[2] or 0)) for path, m in matches if m and path.is_dir()]
        return sorted(found, key=lambda saved: (saved.step, saved.attempt))

    def of_step(self, step: int) -> Saved | None:
        """The newest checkpoint of a step."""
        return next((saved for saved in reversed(self.saved()) if saved.step == step), None)

    def open_draft(self, step: int) -> Path:
        """An empty draft, after clearing away those that a dead run has left.

        Raises:
            CheckpointError: when the folder can't be written to.
        """
        draft = self.path / f"{DRAFT}{step:08d}"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for left in self.path.glob(f"{DRAFT}*"):
                shutil.rmtree(left)
            draft.mkdir()
        except OSError as error:
            raise CheckpointError(
                f"folder={str(self.path)!r} can't be written to ({error.strerror}). Remedy: give a folder that this "
                "user may write to, on a disk with room."
            ) from error
        return draft

    def finish(self, draft: Path, step: int, about: dict[str, Any]) -> Saved:
        """Turn a draft, to which every rank has written, into a checkpoint; older ones of the same step go."""
        files = {str(p.relative_to(draft)): p.stat().st_size for p in sorted(draft.rglob("*")) if p.is_file()}
        with (draft / MANIFEST).open("w") as file:
            json.dump({"step": step, **about, "files": files}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(draft)
        before = self.of_step(step)
        attempt = before.attempt + 1 if before else 0
        final = self.path / (f"step-{step:08d}.{attempt}" if attempt else f"step-{step:08d}")
        draft.rename(final)
        sync_folder(self.path)
        for old in self.saved():
            if old.step == step and old.attempt < attempt:
                shutil.rmtree(old.path)
        return Saved(final, step, attempt)

    def remove_all_but(self, keep: int) -> None:
        """Delete the oldest checkpoints, so that `keep` stay."""
        for old in self.saved()[:-keep]:
            shutil.rmtree(old.path)
