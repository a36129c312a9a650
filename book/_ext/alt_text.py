"""Fails the build over a picture that says nothing to a reader who cannot see it.

Every fault is a Sphinx warning, and the book is built with warnings as errors.
"""

from html.parser import HTMLParser
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)


class PictureFaults(HTMLParser):
    """Collects what is wrong with the pictures of one page's HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Check one element; pictures are images, inline drawings and plotly's own containers."""
        values = {name: (value or "").strip() for name, value in attrs}
        classes = values.get("class", "").split()
        hidden = values.get("aria-hidden") == "true"
        if tag == "img" and not values.get("alt") and not hidden:
            self.faults.append(f"the image {values.get('src', '')!r} has no alt text")
        elif tag == "svg" and not hidden and not (values.get("aria-label") or values.get("aria-labelledby")):
            self.faults.append("an inline drawing has neither aria-label nor aria-hidden")
        elif "kit-plot" in classes and not values.get("aria-label"):
            self.faults.append("a figure has no alt text: pass show(fig, alt=...)")
        elif "plotly-graph-div" in classes:
            self.faults.append("a plotly figure is displayed directly: use book.kit.show(fig, alt=...)")


def picture_faults(html: str) -> list[str]:
    """What is wrong with the pictures in a piece of HTML, one line each."""
    parser = PictureFaults()
    parser.feed(html)
    return parser.faults


def check_images(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Report images without alt text; the HTML cannot tell, for Sphinx fills the gap with the file's name."""
    for image in doctree.findall(nodes.image):
        if not str(image.get("alt", "")).strip():
            logger.warning("the image %r has no alt text", image.get("uri", ""), location=docname, type="alt")


def check_page(app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Report the pictures that a page's cells and raw HTML draw."""
    if doctree is None:
        return
    for fault in picture_faults(context.get("body", "")):
        logger.warning("%s", fault, location=pagename, type="alt")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("doctree-resolved", check_images)
    app.connect("html-page-context", check_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
