"""Reads the built book back: its pages, and the faults that only the rendered HTML shows."""

from pathlib import Path

from bs4 import BeautifulSoup

# pages that Sphinx writes beside the book's own, in the root of the HTML
GENERATED = {"genindex.html", "search.html", "index.html", "py-modindex.html"}


def pages(html: Path) -> list[Path]:
    """The book's own pages under `_build/html`, in order of their path."""
    found = {path.relative_to(html): path for path in html.rglob("*.html") if "_static" not in path.parts}
    return [path for name, path in sorted(found.items()) if name.as_posix() not in GENERATED]


def traceback_findings(html: Path) -> list[str]:
    """One line for each traceback on a page, unless its cell announced it by the tag raises-exception."""
    findings = []
    for page in pages(html):
        text = page.read_text(encoding="utf-8")
        if "output traceback" not in text:
            continue
        for block in BeautifulSoup(text, "html.parser").select("div.output.traceback"):
            cell = block.find_parent("div", class_="cell")
            if cell is None or "tag_raises-exception" not in (cell.get("class") or []):
                last = block.get_text().strip().splitlines()[-1:]
                findings.append(f"{page.relative_to(html)}: a cell failed: {' '.join(last)}")
    return findings
