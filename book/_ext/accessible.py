"""Mends what the stack writes against the rules of accessible HTML; each step below names one fault.

Found by axe-core on this book's pages (tests/book/test_every_page.py). A step takes a page's body and returns it
mended; a page without the fault comes back as it is.
"""

import re
from collections.abc import Callable
from itertools import count
from typing import Any

from sphinx.application import Sphinx


def bibliography_is_no_aria_list(body: str) -> str:
    """Sphinx calls a bibliography a list but its entries hold links and backlinks, which a list may not."""
    return body.replace('<div role="list" class="citation-list">', '<div class="citation-list">').replace(
        ' role="doc-biblioentry"', ""
    )


def footnotes_are_no_biblioentries(body: str) -> str:
    """ARIA 1.2 has dropped the roles of single entries that docutils still writes."""
    return body.replace(' role="doc-endnote"', "").replace(' role="doc-backlink"', "")


def scrolling_code_takes_focus(body: str) -> str:
    """A code block or an output that scrolls must be reachable by keyboard."""
    return re.sub(r"<pre(?![^>]*tabindex)(?=[ >])", '<pre tabindex="0"', body)


def tables_scroll_in_a_focusable_box(body: str) -> str:
    """Wide tables written in Markdown scroll inside their box, which the keyboard must reach, under its own name."""
    number = count(1)
    return re.sub(
        r'<div class="pst-scrollable-table-container">',
        lambda _: (
            '<div class="pst-scrollable-table-container" tabindex="0" role="region" '
            f'aria-label="Table {next(number)} of this page">'
        ),
        body,
    )


def wide_equations_take_focus(body: str) -> str:
    """An equation wider than a phone scrolls in its box (custom.css), which the keyboard must reach."""
    return body.replace(
        '<div class="math notranslate nohighlight"', '<div tabindex="0" class="math notranslate nohighlight"'
    )


def exercises_share_no_id(body: str) -> str:
    """sphinx-exercise gives the text of every exercise, and of every solution, the same id."""
    return re.sub(r'<section id="(exercise|solution)-content">', r'<section class="\1-content">', body)


STEPS: tuple[Callable[[str], str], ...] = (
    bibliography_is_no_aria_list,
    footnotes_are_no_biblioentries,
    scrolling_code_takes_focus,
    tables_scroll_in_a_focusable_box,
    wide_equations_take_focus,
    exercises_share_no_id,
)


def mend_page(app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Run every step over a page's body."""
    body = context.get("body")
    if not isinstance(body, str):
        return
    for step in STEPS:
        body = step(body)
    context["body"] = body


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("html-page-context", mend_page, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
