"""Put a finished folder in place of another so that a reader sees the old one or the new one, never half of each."""

import filecmp
import os
import shutil
from pathlib import Path


def replace_tree(made: Path, target: Path) -> bool:
    """Move `made` to `target`, which may exist; both must lie on one file system.

    Returns:
        Whether anything changed: equal trees are left alone, so that their times stay as they were.
    """
    if target.is_dir() and not differences(made, target):
        shutil.rmtree(made)
        return False
    aside = made.with_name(f"{target.name}.replaced")
    existed = target.exists()
    if existed:
        os.replace(target, aside)
    try:
        os.replace(made, target)
    except OSError:
        if existed:
            os.replace(aside, target)
        raise
    if existed:
        shutil.rmtree(aside)
    return True


def differences(one: Path, other: Path) -> list[str]:
    """Relative paths of files that are missing on either side or differ in a byte, sorted."""
    names = {p.relative_to(root).as_posix() for root in (one, other) for p in root.rglob("*") if p.is_file()}
    return sorted(
        name
        for name in names
        if not ((one / name).is_file() and (other / name).is_file())
        or not filecmp.cmp(one / name, other / name, shallow=False)
    )
