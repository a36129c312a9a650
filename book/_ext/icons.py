"""Cuts the theme's icon script down to the icons that the book shows: 1.5 MB on every page become about a tenth.

The script holds some two thousand drawings as entries `name:[width,height,[aliases],"code",path]`; the rest of it stays
as it is, so icons are drawn as before.
"""

import re
from pathlib import Path
from typing import Any

import pydata_sphinx_theme
import sphinx_book_theme
from sphinx.application import Sphinx

SCRIPT = Path("_static/scripts/fontawesome.js")
ENTRY = re.compile(
    r"""["']?(?P<name>[a-z0-9-]+)["']?:\[\d+,\d+,\[(?P<aliases>[^\]]*)\],"[0-9a-f]+",(?:"[^"]*"|\[[^\]]*\])\],?"""
)
FEWEST_ENTRIES = 1000  # fewer matches mean that the script's format has changed


def trimmed(script: str, keep: set[str]) -> str:
    """The icon script without the drawings that nobody asks for.

    Args:
        script: Font Awesome's script as the theme ships it.
        keep: Names of icons, without their prefix "fa-".

    Raises:
        ValueError: The script is not in the known format, or holds no drawing for one of the names.
    """
    found: set[str] = set()
    entries = 0

    def decide(match: re.Match[str]) -> str:
        nonlocal entries
        entries += 1
        names = {match["name"], *re.findall(r'"([a-z0-9-]+)"', match["aliases"])} & keep
        found.update(names)
        return match[0] if names else ""

    result = ENTRY.sub(decide, script)
    if entries < FEWEST_ENTRIES:
        raise ValueError(
            f"the theme's icon script holds {entries} entries of the known form, {FEWEST_ENTRIES} expected"
        )
    if keep - found:
        raise ValueError(f"the theme's icon script has no drawing for {', '.join(sorted(keep - found))}")
    return result


def icons_in(text: str) -> set[str]:
    """Names of the icons that a piece of HTML or script asks for."""
    modifiers = {"solid", "regular", "brands", "lg", "fw", "sm", "xs", "spin"}
    return set(re.findall(r"\bfa-([a-z0-9-]+)", text)) - modifiers


def trim_icons(app: Sphinx, exception: Exception | None) -> None:
    """Write the trimmed script beside the finished pages."""
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    keep: set[str] = set()
    for page in out.rglob("*.html"):
        for tag in re.findall(r'class="[^"]*\bfa-[^"]*"', page.read_text(encoding="utf-8")):
            keep |= icons_in(tag)
    for package in (pydata_sphinx_theme, sphinx_book_theme):
        folder = Path(str(package.__file__)).parent / "theme" / package.__name__ / "static" / "scripts"
        for script in folder.glob("*theme.js"):
            keep |= icons_in(script.read_text(encoding="utf-8"))
    whole = Path(str(pydata_sphinx_theme.__file__)).parent / "theme/pydata_sphinx_theme/static/scripts/fontawesome.js"
    (out / SCRIPT).write_text(trimmed(whole.read_text(encoding="utf-8"), keep), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("build-finished", trim_icons)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
