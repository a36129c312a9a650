"""A figure's numbers as a frame: the text alternative that stands under every figure.

Reads the traces that the book draws (points, lines, bars, heat maps); another kind of trace has to bring its own table.
"""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

MOST_ROWS = 60


def data_frame(fig: go.Figure) -> pd.DataFrame:
    """The points of a figure, one a row.

    Args:
        fig: A figure of scatter, bar or heatmap traces.

    Returns:
        Columns "series" (where there is more than one), the x title and the y title; a long line is thinned evenly to
        `MOST_ROWS` rows for all series together, first and last point kept.

    Raises:
        ValueError: A trace is of another kind.
    """
    x_name = fig.layout.xaxis.title.text or "x"
    y_name = fig.layout.yaxis.title.text or "y"
    if x_name == y_name:
        y_name = f"{y_name} (vertical)"
    frames: list[pd.DataFrame] = []
    each = max(2, MOST_ROWS // max(1, len(fig.data)))
    for number, trace in enumerate(fig.data, start=1):
        if trace.type in ("scatter", "scattergl", "bar"):
            rows = pd.DataFrame({x_name: _values(trace.x, trace.y), y_name: _values(trace.y, trace.x)})
        elif trace.type == "heatmap":
            rows = _heatmap(trace, x_name, y_name)
        else:
            raise ValueError(
                f"a {trace.type!r} trace has no table of its own: pass show(..., data=frame) with the figure's numbers"
            )
        rows = _thinned(rows, each)
        rows.insert(0, "series", _label(trace, number))
        frames.append(rows)
    table = pd.concat(frames, ignore_index=True)
    return table.drop(columns="series") if len(frames) == 1 else table


def _values(axis: Any, other: Any) -> list[Any]:
    """The axis's values; plotly counts from 0 where a trace leaves one axis out."""
    return list(range(len(other))) if axis is None else list(axis)


def _label(trace: Any, number: int) -> str:
    return str(trace.name or f"series {number}").replace("<br>", " ")


def _heatmap(trace: Any, x_name: str, y_name: str) -> pd.DataFrame:
    z = [list(row) for row in trace.z]
    xs = _values(trace.x, z[0])
    ys = _values(trace.y, z)
    value = (trace.colorbar.title.text or "value") if trace.colorbar else "value"
    return pd.DataFrame([{y_name: y, x_name: x, value: z[i][j]} for i, y in enumerate(ys) for j, x in enumerate(xs)])


def _thinned(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    if len(rows) <= most:
        return rows
    last = len(rows) - 1
    return rows.iloc[[round(step * last / (most - 1)) for step in range(most)]]
