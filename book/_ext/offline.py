"""Keeps the book readable with no network: every script that a page loads lies in the book.

MathJax comes from the package sphinx-mathjax-offline, plotly.js from plotly itself; each is copied once and loaded
only on pages that use it.
"""

import shutil
from importlib.metadata import files
from pathlib import Path
from typing import Any

import plotly
from sphinx.application import Sphinx

# MathJax's parts that book pages load, of the 24 MB that the package holds
MATHJAX = (
    "startup.js",
    "core.js",
    "input/tex.js",
    "input/tex/extensions/*.js",
    "output/chtml.js",
    "output/chtml/fonts/tex.js",
    "output/chtml/fonts/woff-v2/*.woff",
    "a11y/assistive-mml.js",
)


def mathjax_folder() -> Path:
    """Where the package keeps MathJax; its folder's name has hyphens, so it cannot be imported."""
    for file in files("sphinx-mathjax-offline") or []:
        if file.name == "startup.js":
            return Path(str(file.locate())).parent
    raise FileNotFoundError("sphinx-mathjax-offline is installed without its startup.js: reinstall it")


def copy_if_changed(source: Path, target: Path) -> None:
    """Copy one file unless the target has its size and time already."""
    if target.exists():
        old, new = target.stat(), source.stat()
        if old.st_size == new.st_size and int(old.st_mtime) == int(new.st_mtime):
            return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def copy_scripts(app: Sphinx) -> None:
    """Place MathJax and plotly.js in the book's _static folder."""
    if app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    mathjax = mathjax_folder()
    for pattern in MATHJAX:
        for source in mathjax.glob(pattern):
            copy_if_changed(source, static / "mathjax" / source.relative_to(mathjax))
    copy_if_changed(Path(plotly.__file__).parent / "package_data" / "plotly.min.js", static / "plotly.min.js")


def add_page_scripts(app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Load plotly.js and the scripts of explorers and checklists on the pages that hold one."""
    body = context.get("body", "")
    if 'class="kit-plot"' in body:
        app.add_js_file("plotly.min.js", loading_method="defer")
        app.add_js_file("figures.js", loading_method="defer")
    if 'class="kit-explorer"' in body:
        app.add_js_file("explorers.js", loading_method="defer")
    if 'class="kit-checklist"' in body:
        app.add_js_file("checklist.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    # Jupyter Book sets this for an extension that would load its comments from another host and is left out for that
    app.add_config_value("comments_config", {}, "")
    app.connect("builder-inited", copy_scripts)
    app.connect("html-page-context", add_page_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
