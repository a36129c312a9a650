"""The pieces of a report's page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go
import plotly.io
import plotly.offline

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; }
table { border-collapse: collapse; margin: 1rem 0; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { border-bottom: 1px solid #d0d7de; padding: .25rem .7rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
.alarm { border-left: 4px solid #b3261e; padding-left: .8rem; }
figure { margin: 1.5rem 0; }
figcaption { color: #424a53; }
"""


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; every text is escaped."""
    head = "".join(f'<th scope="col">{escape(h)}</th>' for h in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def figure(fig: go.Figure, caption: str) -> str:
    """A figure with its caption, which is also what a screen reader says."""
    drawn = plotly.io.to_html(fig, include_plotlyjs=False, full_html=False)
    told = escape(caption)
    return f'<figure role="group" aria-label="{told}">{drawn}<figcaption>{told}</figcaption></figure>'


def page(title: str, body: str) -> str:
    """The whole page, with plotly.js in it, so that it needs no network."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style><script>{plotly.offline.get_plotlyjs()}</script></head><body>{body}</body></html>"
    )
