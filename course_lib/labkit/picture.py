"""Small arrays drawn as grids, side by side, in one SVG that any notebook page shows: no script, no network.

Colors follow the book's set (Okabe and Ito's hues); a wrong element is also crossed out, since color alone says nothing
to some readers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from itertools import groupby
from typing import Any

import numpy as np

_MOST = 32  # rows or columns drawn; a larger array is drawn in blocks
_NUMBERED = 12  # columns up to which values are written into the squares
_INK, _PAPER, _GRID, _NAN, _WRONG = "#222222", "#FFFFFF", "#C9CDD3", "#9AA0A8", "#CF5A0A"
_LOW, _HIGH = (255, 255, 255), (31, 120, 180)  # white to blue
_GAP, _TOP, _FOOT = 28, 26, 22

Panel = tuple[str, Any]


def panels(pictures: Sequence[Panel], *, wrong: Any = None, alt: str = "") -> str:
    """Draw arrays as grids of squares, darker for larger values.

    Args:
        pictures: Titles with arrays; one dimension is drawn as a row, more than two with the first ones stacked.
        wrong: Truth values of the last array's shape; squares that hold a true one are marked in it, and
            its colors show distances from zero; the other panels then share the first one's colors.
        alt: What the picture shows, for readers who hear it; made from titles and sizes when empty.

    Returns:
        An `<svg>` element as text.

    Raises:
        ValueError: If there is nothing to draw.
    """
    grids = [(title, _as_grid(values)) for title, values in pictures]
    if not grids or any(grid.size == 0 for _, grid in grids):
        empty = [title for title, grid in grids if grid.size == 0]
        raise ValueError(f"nothing to draw in {empty or 'no panels'}; pass arrays that have elements")
    shown = [
        (title, _in_blocks(grid), _size(values, grid))
        for (title, grid), (_, values) in zip(grids, pictures, strict=True)
    ]
    marks = None if wrong is None else _in_blocks(_as_grid(wrong)).astype(bool)
    side = _side(shown)
    parts, left, height = [], 8.0, 0.0
    for number, (title, grid, said) in enumerate(shown):
        rows, columns = grid.shape
        width = max(columns * side, 7.2 * len(title), 5.6 * len(said))
        compared = wrong is not None and number == len(shown) - 1
        shades = _shades(np.abs(grid), 0.0) if compared else _shades(grid if wrong is None else shown[0][1])
        fills = [[shades(float(abs(value) if compared else value)) for value in row] for row in grid]
        parts.append(_grid(title, grid, said, left, side, fills, marks if compared else None))
        left, height = left + width + _GAP, max(height, rows * side)
    total = left - _GAP + 8
    label = escape(alt or "; ".join(f"{title}: {said}" for title, _, said in shown), quote=True)
    size = f'width="{total:.0f}" height="{height + _TOP + _FOOT:.0f}"'
    box = f'viewBox="0 0 {total:.0f} {height + _TOP + _FOOT:.0f}"'
    style = f'font-family="sans-serif" font-size="12" fill="{_INK}"'
    frame = f'<rect width="100%" height="100%" fill="{_PAPER}"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {box} role="img" aria-label="{label}" {style}>'
        f"<title>{label}</title>{frame}{''.join(parts)}</svg>\n"
    )


def _as_grid(values: Any) -> np.ndarray:
    array = np.asarray(values).astype(np.float64)
    return array.reshape(-1, array.shape[-1]) if array.ndim > 1 else array.reshape(1, -1)


def _in_blocks(grid: np.ndarray) -> np.ndarray:
    """At most `_MOST` rows and columns; a block shows its value that is farthest from zero, so no error hides."""
    for axis in (0, 1):
        step = -(-grid.shape[axis] // _MOST)
        if step > 1:
            starts = np.arange(0, grid.shape[axis], step)
            high, low = np.maximum.reduceat(grid, starts, axis), np.minimum.reduceat(grid, starts, axis)
            grid = np.where(np.abs(low) > np.abs(high), low, high)
    return grid


def _size(values: Any, grid: np.ndarray) -> str:
    return " × ".join(map(str, np.shape(values))) + (", drawn in blocks" if max(grid.shape) > _MOST else "")


def _side(shown: list[tuple[str, np.ndarray, str]]) -> float:
    """A side that lets all panels stand beside each other on a notebook's page."""
    columns = sum(grid.shape[1] for _, grid, _ in shown)
    rows = max(grid.shape[0] for _, grid, _ in shown)
    return float(max(4.0, min(30.0, 860 / columns, 420 / rows)))


def _grid(
    title: str,
    grid: np.ndarray,
    said: str,
    left: float,
    side: float,
    fills: list[list[str]],
    marks: np.ndarray | None,
) -> str:
    rows, columns = grid.shape
    numbered = columns <= _NUMBERED and side >= 22
    parts = [f'<text x="{left:.1f}" y="16" font-weight="bold">{escape(title)}</text>']
    line = f'stroke="{_GRID}" stroke-width="0.5" vector-effect="non-scaling-stroke"' if side >= 8 else ""
    parts.append(f'<g transform="translate({left:.1f} {_TOP}) scale({side:.3f})">')
    for y, row in enumerate(fills):
        x = 0
        for fill, run in groupby(row):
            width = len(list(run))
            parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="1" fill="{fill}"/>')
            x += width
    if line:
        down = "".join(f"M{x} 0V{rows}" for x in range(columns + 1))
        across = "".join(f"M0 {y}H{columns}" for y in range(rows + 1))
        parts.append(f'<path d="{down}{across}" fill="none" {line}/>')
    if marks is not None:
        # A cross, or a frame around a square with a number in it.
        mark = "h.86v.86h-.86z" if numbered else "l.8 .8m-.8 0l.8 -.8"
        edge = 0.07 if numbered else 0.1
        drawn = "".join(f"M{x + edge:.2f} {y + edge:.2f}{mark}" for y, x in np.argwhere(marks))
        parts.append(f'<path d="{drawn}" fill="none" stroke="{_WRONG}" stroke-width="{max(0.1, 1 / side):.3f}"/>')
    parts.append("</g>")
    if numbered:
        parts += [
            f'<text x="{left + (x + 0.5) * side:.1f}" y="{_TOP + (y + 0.5) * side + 3:.1f}" font-size="9" '
            f'text-anchor="middle" fill="{_ink(fills[y][x])}">{_short(float(v))}</text>'
            for (y, x), v in np.ndenumerate(grid)
        ]
    parts.append(
        f'<text x="{left:.1f}" y="{_TOP + rows * side + 15:.1f}" font-size="10" fill="#555555">{escape(said)}</text>'
    )
    return "".join(parts)


def _shades(grid: np.ndarray, low: float | None = None) -> Callable[[float], str]:
    """From a value to a color: white at `low` (or the smallest value) to blue at the largest."""
    finite = grid[np.isfinite(grid)]
    bottom = low if low is not None else float(finite.min(initial=0.0 if not finite.size else np.inf))
    top = float(finite.max(initial=bottom))

    def color(value: float) -> str:
        if not np.isfinite(value):
            return _NAN
        share = min(1.0, max(0.0, (value - bottom) / (top - bottom))) if top > bottom else 0.0
        red, green, blue = (round(a + (b - a) * share) for a, b in zip(_LOW, _HIGH, strict=True))
        return f"#{red:02X}{green:02X}{blue:02X}"

    return color


def _ink(fill: str) -> str:
    """Light digits on dark squares: a square's red falls from 255 to 31 as it darkens."""
    return _PAPER if int(fill[1:3], 16) < 130 else _INK


def _short(value: float) -> str:
    if np.isnan(value):
        return "nan"
    text = f"{value:.3g}"
    return text if len(text) <= 5 else f"{value:.0e}".replace("e+0", "e").replace("e-0", "e-")
