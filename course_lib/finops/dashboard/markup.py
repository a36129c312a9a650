"""HTML as values: text becomes markup only through `element` or `plain`, which escape it, so that no tag can slip in.

Whoever may launch an instance chooses its tags, so every name on the page is somebody else's text. Source:
https://html.spec.whatwg.org/multipage/parsing.html; the bidirectional controls are those of Unicode's UAX 9.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

VOID = {"meta", "br", "hr", "path", "line", "rect"}
# Controls that are invisible and change what is seen: C0, DEL and C1, zero-width, and those of direction.
UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


class Markup(str):
    """A piece of HTML; any other string is text."""

    __slots__ = ()


def plain(text: object) -> Markup:
    """Text as HTML: escaped, invisible controls shown as U+FFFD."""
    if isinstance(text, Markup):
        return text
    return Markup(escape(UNSEEN.sub("\ufffd", str(text)), quote=True))


def element(tag: str, *content: object, **attributes: object) -> Markup:
    """An element; its content is escaped unless it is `Markup`.

    Args:
        tag: its name.
        content: text or markup, one after the other.
        attributes: by name, "_" for "-" and "class_" for "class"; None leaves one out, True gives it no value.
    """
    told = "".join(
        f" {name.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{plain(value)}"')
        for name, value in attributes.items()
        if value is not None
    )
    if tag in VOID:
        return Markup(f"<{tag}{told}/>" if tag in ("path", "line", "rect") else f"<{tag}{told}>")
    return Markup(f"<{tag}{told}>{joined(content)}</{tag}>")


def joined(content: Iterable[object]) -> Markup:
    """Pieces one after the other; text among them is escaped."""
    return Markup("".join(plain(one) for one in content))


def name(text: str, nothing: str = "untagged") -> Markup:
    """Somebody's name for something, kept apart from the direction of the text around it; `nothing` where it is ""."""
    return element("bdi", text) if text else element("em", nothing)


def table(
    caption: str, columns: Iterable[str], rows: Iterable[Iterable[object]], *, numbers: Iterable[int] = ()
) -> Markup:
    """A table in a box that scrolls by keyboard; the first cell of a row heads it.

    Args:
        caption: what its rows are.
        columns: their headings.
        rows: cells, text or markup.
        numbers: columns that are aligned as numbers, from 0.
    """
    right = set(numbers)

    def kind(place: int) -> str | None:
        return "n" if place in right else None

    head = joined(element("th", word, scope="col", class_=kind(place)) for place, word in enumerate(columns))
    body = joined(
        element(
            "tr",
            *(
                element("td", cell, class_=kind(place)) if place else element("th", cell, scope="row")
                for place, cell in enumerate(row)
            ),
        )
        for row in rows
    )
    whole = element("table", element("caption", caption), element("thead", element("tr", head)), element("tbody", body))
    return element("div", whole, class_="box", role="region", tabindex="0", aria_label=caption)


def folded(summary: str, *content: object) -> Markup:
    """What is behind a line that opens by mouse and keyboard, without a script."""
    return element("details", element("summary", summary), *content)


def fixed(text: str) -> Markup:
    """An id or a date, which is not broken over lines."""
    return element("span", text, class_="k")


def usd(amount: object) -> str:
    """Dollars and cents, such as "1,234.50"."""
    return f"{amount:,.2f}"
