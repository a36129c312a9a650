"""A content-addressed cache of compiled graphs in a folder, safe for processes that share it.

Laid out as the Neuron caches are: a graph's key is its address, and what it leads to never changes, so that an entry
needs no lock to be read and no date to be trusted. Copying the folder, to S3 or to another machine, copies the cache.
"""

from __future__ import annotations

from pathlib import Path

from course_lib.runtime.whole_files import whole_file


class GraphCache:
    """Compiled graphs by key.

    Args:
        folder: where they lie; made when it is not there.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str) -> bytes | None:
        """What was stored under a key, or None."""
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError:
            return None

    def put(self, key: str, compiled: bytes) -> None:
        """Store under a key; a reader in another process sees all of it or nothing."""
        path = self._path(key)
        path.parent.mkdir(exist_ok=True)
        with whole_file(path) as draft:
            draft.write_bytes(compiled)

    def keys(self) -> list[str]:
        """All keys, sorted."""
        return sorted(path.stem for path in self.folder.glob("*/*.graph"))

    def __len__(self) -> int:
        return len(self.keys())

    def _path(self, key: str) -> Path:
        if not key.isalnum():
            raise ValueError(f"key={key!r} must be letters and digits, for it becomes a file's name. Use graph_key().")
        return self.folder / key[:2] / f"{key}.graph"
