"""Box-and-arrow diagrams as inline SVG: they take the page's colors, so they are legible in both themes and offline.

The author gives positions on a grid (column, row); this module only draws. A diagram without alt text is refused.
"""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from IPython.display import HTML

COLUMN_PX, ROW_PX = 190, 104  # distance between box centers
BOX_W, BOX_H = 150, 66
CHARACTERS_PER_LINE = 20
STYLES = {"plain": "", "strong": " strong", "danger": " danger", "quiet": " quiet"}


@dataclass(frozen=True)
class Box:
    """One box: its text (wrapped), its place on the grid (fractions allowed) and how it looks."""

    text: str
    column: float
    row: float
    style: str = "plain"


@dataclass(frozen=True)
class Arrow:
    """An arrow between two boxes, with an optional short label."""

    source: str
    target: str
    label: str = ""
    dashed: bool = False


def diagram(boxes: Mapping[str, Box], arrows: Sequence[Arrow], *, alt: str) -> HTML:
    """Draw boxes and arrows.

    Args:
        boxes: by name; the names are used by the arrows.
        arrows: drawn in order, under the boxes.
        alt: what the picture says, for readers who do not see it.

    Returns:
        An HTML object with one inline `<svg>`.

    Raises:
        ValueError: alt is empty, a style is unknown, or an arrow names a box that is not there.
    """
    if not alt.strip():
        raise ValueError("a diagram needs alt text: say in words what the boxes and arrows say")
    for arrow in arrows:
        for end in (arrow.source, arrow.target):
            if end not in boxes:
                raise ValueError(f"arrow to or from {end!r}, but the boxes are {', '.join(boxes)}")
    key = hashlib.sha256(repr((boxes, arrows, alt)).encode()).hexdigest()[:8]
    width = max(b.column for b in boxes.values()) * COLUMN_PX + BOX_W + 12
    height = max(b.row for b in boxes.values()) * ROW_PX + BOX_H + 12
    body = [_arrow(boxes[a.source], boxes[a.target], a, key) for a in arrows]
    body += [_box(box) for box in boxes.values()]
    svg = (
        f'<svg class="course-diagram" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-labelledby="diagram-{key}" style="min-width:{min(width, 620):.0f}px;max-width:{width:.0f}px">'
        f'<title id="diagram-{key}">{escape(alt)}</title><style>{_CSS}</style>'
        f'<defs><marker id="head-{key}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        f'orient="auto"><path class="head" d="M0,0 L8,4 L0,8 z"/></marker></defs>{"".join(body)}</svg>'
    )
    # the scrolling frame takes the keyboard, so that a phone or a keyboard reader can reach the right-hand boxes
    return HTML(
        f'<div class="course-diagram-frame" role="region" tabindex="0" aria-label="Diagram" style="overflow-x:auto">'
        f"{svg}</div>"
    )


def edge_point(box: Box, toward: Box) -> tuple[float, float]:
    """The point where the line between two boxes' centers leaves `box`, in pixels."""
    (x0, y0), (x1, y1) = _center(box), _center(toward)
    dx, dy = x1 - x0, y1 - y0
    if dx == dy == 0:
        raise ValueError(f"two boxes lie on one place: column {box.column}, row {box.row}")
    scale = min(BOX_W / 2 / abs(dx) if dx else float("inf"), BOX_H / 2 / abs(dy) if dy else float("inf"))
    return x0 + dx * scale, y0 + dy * scale


def _center(box: Box) -> tuple[float, float]:
    return box.column * COLUMN_PX + BOX_W / 2 + 6, box.row * ROW_PX + BOX_H / 2 + 6


def _box(box: Box) -> str:
    if box.style not in STYLES:
        raise ValueError(f"box style {box.style!r} is not one of {', '.join(STYLES)}")
    x, y = _center(box)
    lines = textwrap.wrap(box.text, CHARACTERS_PER_LINE)
    first = y - (len(lines) - 1) * 8 + 4.5
    text = "".join(f'<text x="{x:.0f}" y="{first + 16 * i:.1f}">{escape(line)}</text>' for i, line in enumerate(lines))
    return (
        f'<g class="box{STYLES[box.style]}"><rect x="{x - BOX_W / 2:.0f}" y="{y - BOX_H / 2:.0f}" '
        f'width="{BOX_W}" height="{BOX_H}" rx="7"/>{text}</g>'
    )


def _arrow(source: Box, target: Box, arrow: Arrow, key: str) -> str:
    (x0, y0), (x1, y1) = edge_point(source, target), edge_point(target, source)
    dash = ' stroke-dasharray="5 4"' if arrow.dashed else ""
    ends = f'x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"'
    line = f'<line class="arrow" {ends} marker-end="url(#head-{key})"{dash}/>'
    if not arrow.label:
        return line
    return (
        line + f'<text class="label" x="{(x0 + x1) / 2:.0f}" y="{(y0 + y1) / 2 - 4:.0f}">{escape(arrow.label)}</text>'
    )


# colors come from the theme's variables; the fallbacks serve a plain HTML page
_CSS = (
    ".course-diagram{width:100%;font:13px system-ui,sans-serif}"
    ".course-diagram text{text-anchor:middle;fill:var(--pst-color-text-base,currentColor)}"
    ".course-diagram rect{fill:var(--pst-color-surface,none)}"
    ".course-diagram rect{stroke:var(--pst-color-text-muted,currentColor);stroke-width:1.4}"
    ".course-diagram .strong rect{stroke:var(--pst-color-primary,currentColor);stroke-width:3}"
    ".course-diagram .danger rect{stroke:var(--pst-color-danger,#b00020);stroke-width:2.4;stroke-dasharray:7 4}"
    ".course-diagram .quiet rect{fill:none;stroke-dasharray:2 4}"
    ".course-diagram .arrow{stroke:var(--pst-color-text-muted,currentColor);stroke-width:1.6}"
    ".course-diagram .head{fill:var(--pst-color-text-muted,currentColor)}"
    ".course-diagram .label{font-size:12px;paint-order:stroke;stroke:var(--pst-color-background,#fff);stroke-width:4px}"
)
