"""Execute the chapters on all cores before Sphinx, which would execute one after the other, reads them.

A page that succeeds goes into myst-nb's execution cache, where Sphinx finds it. One that fails does not: Sphinx
executes it again and reports the fault as it reports any other.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import yaml

WORKERS_AT_MOST = 4  # each holds a kernel with torch in it, about 1 GB


def execute_ahead(root: Path, cache_folder: Path, pages: list[Path], workers: int) -> dict[Path, float | None]:
    """Execute the pages that the cache lacks, several at a time, and cache them.

    Args:
        root: The folder of `_config.yml`, which says how long a cell may take.
        cache_folder: myst-nb's execution cache.
        pages: Sources of pages; those without code are left out.
        workers: How many at a time.

    Returns:
        For each page that was executed its seconds, None if it failed. Empty when there is nothing to share out: one
        page, or one worker.
    """
    from jupyter_cache import get_cache
    from jupyter_cache.base import CacheBundleIn

    settings = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["execute"]
    cache = get_cache(str(cache_folder))
    waiting = [(path, notebook) for path in pages if (notebook := read(path)) is not None]
    waiting = [(path, notebook) for path, notebook in waiting if not _is_cached(cache, notebook)]
    took: dict[Path, float | None] = {}
    if len(waiting) < 2 or workers < 2:
        return took  # Sphinx does as well by itself
    # a forked worker would share this process's database; a spawned one shares nothing
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        running = {pool.submit(_execute, path, notebook, settings["timeout"]): path for path, notebook in waiting}
        for done in as_completed(running):
            notebook, seconds = done.result()
            took[running[done]] = seconds
            if seconds is not None:
                bundle = CacheBundleIn(notebook, str(running[done]), data={"execution_seconds": seconds})
                cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
    return took


def read(path: Path) -> Any:
    """The page as myst-nb will read it, or None for one without code."""
    from myst_nb.core.config import NbParserConfig
    from myst_nb.core.read import create_nb_reader
    from myst_parser.config.main import MdParserConfig

    text = path.read_text(encoding="utf-8")
    reader = create_nb_reader(str(path), MdParserConfig(), NbParserConfig(), text)
    notebook = reader.read(text) if reader else None
    return notebook if notebook and any(cell.cell_type == "code" for cell in notebook.cells) else None


def _is_cached(cache: Any, notebook: Any) -> bool:
    try:
        cache.match_cache_notebook(notebook)
    except KeyError:
        return False
    return True


def _execute(path: Path, notebook: Any, timeout: int) -> tuple[Any, float | None]:
    from jupyter_cache.executors.utils import single_nb_execution

    result = single_nb_execution(
        notebook, cwd=str(path.parent), timeout=timeout, allow_errors=False, meta_override=True
    )
    return notebook, None if result.err else result.time


def sources(root: Path) -> list[Path]:
    """The sources of the pages in `_toc.yml`, in its order."""
    contents = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [entry["file"] for part in contents.get("parts", ()) for entry in part["chapters"]]
    return [root / f"{name}.md" for name in [contents["root"], *chapters]]


def cores() -> int:
    """How many pages to execute at a time on this machine."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(WORKERS_AT_MOST, mine)


def main() -> int:
    """Execute the book's pages into its cache and say how long each took."""
    from .freshness import execution_key

    parser = argparse.ArgumentParser(prog="python -m book.kit.ahead", description="Execute the book's pages.")
    parser.add_argument("root", type=Path)
    root = parser.parse_args().root.resolve()
    folder = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["sphinx"]["config"]
    cache = root / folder.get("course_cache_folder", ".jb-cache") / execution_key(root)
    for path, seconds in execute_ahead(root, cache, sources(root), cores()).items():
        told = "failed; Sphinx will say why" if seconds is None else f"{seconds:.1f} s"
        print(f"executed {path.relative_to(root)}: {told}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
