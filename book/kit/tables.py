"""Tables that a screen reader can walk: caption, column and row headers, a scroll box that the keyboard reaches.

Follows the W3C's table tutorial (w3.org/WAI/tutorials/tables): `scope` on every header cell, one caption, no empty
headers.
"""

from collections.abc import Mapping
from html import escape
from numbers import Integral, Real
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
from IPython.display import HTML, display


def show_table(
    df: pd.DataFrame,
    caption: str,
    *,
    summary: str | None = None,
    formats: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    row_header: str | None = None,
    missing: str = "not known",
) -> None:
    """Display a frame as an accessible HTML table.

    Args:
        df: The rows; the index is not shown.
        caption: What the table says; shown above it and read out first.
        summary: One more sentence for readers who cannot see the shape of the table; shown below the caption.
        formats: A `str.format` pattern for a column, such as {"usd_per_hour": "${:,.2f}"}.
        headers: Words to show instead of a column's name.
        row_header: The column whose cells head their rows; the first one unless told.
        missing: What stands in a cell whose value is unknown.

    Raises:
        ValueError: The caption is empty, or `formats`, `headers` or `row_header` name a column that the frame lacks.
    """
    display(
        HTML(
            table_html(
                df, caption, summary=summary, formats=formats, headers=headers, row_header=row_header, missing=missing
            )
        )
    )


def table_html(
    df: pd.DataFrame,
    caption: str,
    *,
    summary: str | None = None,
    formats: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    row_header: str | None = None,
    missing: str = "not known",
) -> str:
    """The HTML that `show_table` displays; same arguments, same errors."""
    if not caption.strip():
        raise ValueError("a table needs a caption: say in one sentence what the rows are")
    columns = [str(column) for column in df.columns]
    formats, headers = dict(formats or {}), dict(headers or {})
    for name in [*formats, *headers, *([row_header] if row_header else [])]:
        if name not in columns:
            raise ValueError(f"the table {caption!r} has no column {name!r}; its columns are {', '.join(columns)}")
    row_header = row_header or columns[0]
    numeric = {
        name for name, column in zip(columns, df.columns, strict=True) if pd.api.types.is_numeric_dtype(df[column])
    }
    lines = [
        f'<div class="kit-table" role="region" tabindex="0" aria-label="{escape(caption)}"><table>',
        f"<caption>{escape(caption)}" + (f"<br><small>{escape(summary)}</small>" if summary else "") + "</caption>",
        "<thead><tr>",
        *(
            f'<th scope="col"{_align(name in numeric)}>{escape(headers.get(name, name.replace("_", " ")))}</th>'
            for name in columns
        ),
        "</tr></thead><tbody>",
    ]
    for row in df.itertuples(index=False, name=None):
        cells = []
        for name, value in zip(columns, row, strict=True):
            text = _cell(value, formats.get(name), missing)
            tag = '<th scope="row"' if name == row_header else "<td"
            cells.append(f"{tag}{_align(name in numeric)}>{text}</{'th' if name == row_header else 'td'}>")
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return "\n".join([*lines, "</tbody></table></div>"])


def _align(number: bool) -> str:
    return ' class="kit-number"' if number else ""


def _cell(value: Any, pattern: str | None, missing: str) -> str:
    if value is None or (not isinstance(value, (list, tuple, dict)) and pd.isna(value)):
        return f'<span class="kit-missing">{escape(missing)}</span>'
    if pattern is not None:
        return escape(pattern.format(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{value:,}"
    if isinstance(value, Real):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, (list, tuple)):
        return escape(", ".join(str(item) for item in value))
    text = str(value)
    if text.startswith(("https://", "http://")):
        return f'<a href="{escape(text)}">{escape(urlsplit(text).netloc.removeprefix("www."))}</a>'
    return escape(text)
