"""Pictures of a collective: which rank holds which chunk, and whose data is in it, as inline SVG in the page's colors.

A panel is one moment: a row for each rank, a cell for each chunk, and in the cell a slot for each contributing rank,
always at the same place and with the rank's number, so that color never carries the meaning alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from IPython.display import HTML

from . import palette

Frame = Sequence[Mapping[int, Iterable[int]]]  # rank → chunk → contributing ranks

SLOT, CELL_H, GAP = 15, 24, 5
LABEL_W, TITLE_H, PANEL_GAP = 52, 26, 30


def holdings_picture(panels: Mapping[str, Frame], *, alt: str, per_row: int = 2) -> HTML:
    """Draw who holds what at several moments.

    Args:
        panels: title → what each rank holds, such as a frame of `course_lib.arithmetic.network.holdings`.
        alt: what the picture says, for readers who do not see it.
        per_row: panels side by side.

    Returns:
        An HTML object with one inline `<svg>`.

    Raises:
        ValueError: alt is empty, there is no panel, or a panel has another number of ranks than the first.
    """
    if not alt.strip():
        raise ValueError("a picture of holdings needs alt text: say in words who holds what")
    if not panels:
        raise ValueError("there is nothing to draw: give at least one panel")
    frames = list(panels.values())
    ranks = len(frames[0])
    if any(len(frame) != ranks for frame in frames):
        raise ValueError(f"every panel must have the {ranks} ranks of the first one")
    columns = 1 + max((chunk for frame in frames for chunks in frame for chunk in chunks), default=0)
    cell = ranks * SLOT + GAP
    panel_w, panel_h = LABEL_W + columns * cell + PANEL_GAP, TITLE_H + ranks * (CELL_H + GAP) + 16
    width = min(per_row, len(panels)) * panel_w - PANEL_GAP + 8
    height = -(-len(panels) // per_row) * panel_h
    body = []
    for number, (title, frame) in enumerate(panels.items()):
        x, y = number % per_row * panel_w + 4, number // per_row * panel_h
        body.append(f'<text class="title" x="{x}" y="{y + 17}">{escape(title)}</text>')
        for rank, chunks in enumerate(frame):
            top = y + TITLE_H + rank * (CELL_H + GAP)
            body.append(f'<text x="{x}" y="{top + 16}">rank {rank}</text>')
            body += [
                _cell(x + LABEL_W + chunk * cell, top, frozenset(chunks.get(chunk, ())), ranks)
                for chunk in range(columns)
            ]
    key = hashlib.sha256(repr((list(panels), frames, alt)).encode()).hexdigest()[:8]
    return HTML(
        '<div class="course-diagram-frame" role="region" tabindex="0" aria-label="Picture of who holds what" '
        'style="overflow-x:auto">'
        f'<svg class="course-holdings" viewBox="0 0 {width} {height}" role="img" aria-labelledby="holdings-{key}" '
        f'style="width:100%;min-width:{min(width, 560)}px;max-width:{width}px">'
        f'<title id="holdings-{key}">{escape(alt)}</title><style>{_CSS}</style>{"".join(body)}</svg></div>'
    )


def _cell(x: float, y: float, given: frozenset[int], ranks: int) -> str:
    style = "empty" if not given else "whole" if len(given) == ranks else "part"
    outline = f'<rect class="{style}" x="{x}" y="{y}" width="{ranks * SLOT}" height="{CELL_H}" rx="3"/>'
    slots = [
        f'<rect x="{x + rank * SLOT + 1}" y="{y + 1}" width="{SLOT - 2}" height="{CELL_H - 2}" '
        f'fill="{palette.COLORS[rank % len(palette.COLORS)]}" fill-opacity="0.35"/>'
        f'<text class="slot" x="{x + (rank + 0.5) * SLOT}" y="{y + 16.5}">{rank}</text>'
        for rank in sorted(given)
    ]
    return "".join(slots) + outline


_CSS = (
    ".course-holdings{font:12px system-ui,sans-serif}"
    ".course-holdings text{fill:var(--pst-color-text-base,currentColor)}"
    ".course-holdings .title{font-weight:600}"
    ".course-holdings .slot{text-anchor:middle}"
    ".course-holdings .empty,.course-holdings .part,.course-holdings .whole{fill:none;"
    "stroke:var(--pst-color-text-muted,currentColor)}"
    ".course-holdings .empty{stroke-dasharray:2 4;stroke-width:1}"
    ".course-holdings .part{stroke-width:1}"
    ".course-holdings .whole{stroke-width:2.6;stroke:var(--pst-color-primary,currentColor)}"
)
