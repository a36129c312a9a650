"""Writes the index page that leads to the first chapter, with a title, a language, an icon and a link.

Jupyter Book's own holds a bare refresh, for which a browser asks for /favicon.ico and a screen reader has no name.
"""

from html import escape
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

PAGE = """<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta http-equiv="refresh" content="0; url={first}">
    <title>{title}</title>
    <link rel="icon" href="_static/favicon.svg">
  </head>
  <body><main><h1>{title}</h1><p><a href="{first}">Read the first page.</a></p></main></body>
</html>
"""


def write_index(app: Sphinx, exception: Exception | None) -> None:
    """Write index.html beside the finished pages."""
    if exception is None and app.builder.format == "html":
        page = PAGE.format(first=app.builder.get_target_uri(app.config.root_doc), title=escape(app.config.html_title))
        (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("build-finished", write_index, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
