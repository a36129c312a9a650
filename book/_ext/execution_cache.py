"""Executes a chapter again when the library under it has changed, and not otherwise.

Puts myst-nb's execution cache in `.jb-cache/<execution key>`. The setting is part of Sphinx's environment, so a new key
also makes Sphinx read every page again; `course_page_key` does the same for a change that needs no execution.
"""

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

from book.kit.freshness import execution_key, page_key, prune


def choose_cache(app: Sphinx, config: Config) -> None:
    """Point myst-nb at the cache of the present sources and drop the caches of older ones."""
    root = Path(app.srcdir)
    folder = root / config.course_cache_folder
    key = execution_key(root)
    prune(folder, keep=key)
    config["nb_execution_cache_path"] = str(folder / key)
    config["course_page_key"] = page_key(root)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.add_config_value("course_cache_folder", ".jb-cache", "")
    app.add_config_value("course_page_key", "", "env")
    app.connect("config-inited", choose_cache)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
