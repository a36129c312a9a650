"""What a page's outputs depend on, as one short hash.

jupyter-cache keys a notebook by its own cells and so serves stale pages when an imported module changes
(github.com/executablebooks/jupyter-cache/issues/7, requirement 4). The book keeps one cache folder for each
`execution_key`, and reads every page again when `page_key` changes.
"""

import hashlib
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

# what a chapter's cells can import or read, and the pins of what those import in turn
EXECUTED = (
    "course_lib/**/*.py",
    "course_lib/**/data/**/*",
    "book/*.py",
    "book/*.toml",
    "book/kit/**/*.py",
    "requirements.lock",
)
# what else a page is made of, its own text aside (Sphinx tracks that)
RENDERED = (
    "book/_ext/**/*.py",
    "book/_static/**/*",
    "book/_templates/**/*",
    "_config.yml",
    "_toc.yml",
    "book/references.bib",
)
KEY_LENGTH = 16


def execution_key(root: Path) -> str:
    """Hash of everything that a cell's output depends on, the cell itself and its data files aside.

    Args:
        root: The folder of `_config.yml`.
    """
    return _hash(root, EXECUTED, [f"python {sys.version_info.major}.{sys.version_info.minor}"])


def page_key(root: Path) -> str:
    """Hash of everything that a built page depends on, its own text aside; changes whenever `execution_key` does."""
    return _hash(root, RENDERED, [execution_key(root)])


def prune(cache: Path, keep: str) -> list[Path]:
    """Delete the caches of older keys, so that the folder does not grow with every edit of the library.

    Args:
        cache: The folder that holds one cache a key.
        keep: The key in use.

    Returns:
        The folders that were deleted.
    """
    if not cache.is_dir():
        return []
    old = sorted(folder for folder in cache.iterdir() if folder.is_dir() and folder.name != keep)
    for folder in old:
        shutil.rmtree(folder)
    return old


def _hash(root: Path, patterns: Iterable[str], words: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for word in words:
        digest.update(word.encode() + b"\0")
    files = {path for pattern in patterns for path in root.glob(pattern) if path.is_file() and path.suffix != ".pyc"}
    for path in sorted(files):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:KEY_LENGTH]
