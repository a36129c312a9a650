"""Plotly figures for a book that is read with no network, in two themes, with or without eyesight.

`show` writes the figure as compact JSON beside its words and its numbers. book/_static/figures.js draws it with the one
copy of plotly.js that the build places in the book, and colors it anew when the reader changes the theme.
"""

import json
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import plotly.io
from IPython.display import display

from . import palette
from .series import data_frame
from .tables import table_html

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
HEIGHT_PIXELS = 420
LARGEST_BYTES = 400_000


def figure(
    *,
    x: str,
    y: str,
    title: str | None = None,
    log_x: bool = False,
    log_y: bool = False,
    height: int = HEIGHT_PIXELS,
) -> go.Figure:
    """An empty figure with named axes, ready for `add_scatter` and its kin.

    Args:
        x: Title of the horizontal axis, unit in parentheses.
        y: Title of the vertical axis, unit in parentheses.
        title: Title inside the figure; the caption usually says it better.
        log_x: Whether the horizontal axis is logarithmic.
        log_y: Whether the vertical axis is logarithmic.
        height: Height in pixels; the width follows the page.

    Raises:
        ValueError: An axis has no title.
    """
    for axis, words in (("x", x), ("y", y)):
        if not words.strip():
            raise ValueError(f"the {axis} axis has no title: name the quantity and its unit, such as 'time (s)'")
    fig = go.Figure()
    fig.update_layout(height=height, title_text=title)
    fig.update_xaxes(title_text=x, type="log" if log_x else "linear")
    fig.update_yaxes(title_text=y, type="log" if log_y else "linear")
    return fig


def show(
    fig: go.Figure, alt: str, caption: str | None = None, name: str | None = None, data: pd.DataFrame | None = None
) -> None:
    """Display a figure with its alt text, its caption and its numbers as a table.

    Args:
        fig: The plotly figure.
        alt: What a reader who cannot see the figure should learn from it, in one to three sentences.
        caption: Words under the figure; plain text.
        name: Anchor of the figure on its page, kebab-case.
        data: The table beside the figure; read from the traces unless given.

    Raises:
        ValueError: `alt` is empty, the figure has no traces, or it is too large for a page.
    """
    html = figure_html(fig, alt, caption, name, data)
    display({"text/html": html, "text/plain": f"Figure: {alt}"}, raw=True)


def figure_html(
    fig: go.Figure, alt: str, caption: str | None = None, name: str | None = None, data: pd.DataFrame | None = None
) -> str:
    """The HTML that `show` displays; same arguments, same errors."""
    if not alt or not alt.strip():
        raise ValueError("a figure needs alt text: say what a reader who cannot see it should learn from it")
    if not fig.data:
        raise ValueError(f"the figure {alt!r} has no traces: add data before showing it")
    document = json.dumps(_document(fig), separators=(",", ":")).replace("<", "\\u003c")
    if len(document) > LARGEST_BYTES:
        raise ValueError(
            f"the figure {alt!r} takes {len(document):,} bytes, the limit is {LARGEST_BYTES:,}: plot fewer points"
        )
    height = int(fig.layout.height or HEIGHT_PIXELS)
    frame = data_frame(fig) if data is None else data
    table = table_html(frame, caption or alt)
    return (
        f'<figure class="kit-figure"{f" id={json.dumps(escape(name))}" if name else ""}>'
        f'<div class="kit-plot" role="img" aria-label="{escape(" ".join(alt.split()))}" style="height:{height}px">'
        f'<script type="application/json">{document}</script>'
        "<noscript>Drawing this figure takes JavaScript; its numbers are in the table below.</noscript></div>"
        + (f"<figcaption>{escape(caption)}</figcaption>" if caption else "")
        + f'<details class="kit-data"><summary>The numbers of this figure</summary>{table}</details></figure>'
    )


def _document(fig: go.Figure) -> dict[str, Any]:
    """Data and layout as plain JSON values: no template (the page's theme supplies it), arrays as short lists."""
    raw = json.loads(plotly.io.to_json(fig, validate=True, engine="json"))
    layout = {key: value for key, value in raw.get("layout", {}).items() if key != "template"}
    layout.setdefault("colorway", list(palette.COLORS))
    layout.setdefault("font", {}).setdefault("family", FONT)
    layout.setdefault("legend", {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0})
    above = len(raw["data"]) > 1 or "text" in layout.get("title", {})  # room for a legend or a title
    layout.setdefault("margin", {"l": 8, "r": 8, "t": 48 if above else 12, "b": 8})
    return {"data": [_plain(trace) for trace in raw["data"]], "layout": _plain(layout)}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) >= {"dtype", "bdata"}:
            return _plain(_unpacked(value))
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.5g}")
    return value


def _unpacked(packed: dict[str, Any]) -> list[Any]:
    """Plotly packs arrays as base64; a list of five significant digits is shorter once it is rounded."""
    import base64

    import numpy as np

    array = np.frombuffer(base64.b64decode(packed["bdata"]), dtype=np.dtype(packed["dtype"]))
    if "shape" in packed:
        array = array.reshape([int(size) for size in str(packed["shape"]).split(",")])
    values: list[Any] = array.tolist()
    return values
