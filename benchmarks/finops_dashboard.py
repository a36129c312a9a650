"""First paint of the dashboard in headless Chromium, against one plotly page that draws the same daily spend.

Seconds are the Performance API's first-contentful-paint from a file, median of several openings in turn, each in a new
context, so that nothing is in a cache. Needs Debian's chromium.
"""

from __future__ import annotations

import statistics
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.ratio import Ratio
from course_lib.finops.dashboard import DashboardData, Unread, render
from course_lib.finops.usage import DAY, LATE, Usage, UsageRow

CHROMIUM = "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
DAYS, PROJECTS, RUNS = 365, 40, 5
NOW = datetime(2026, 12, 15, 9, tzinfo=UTC)
LIMIT_SECONDS, LIMIT_BYTES = 1.0, 1_000_000
PAINTED = """() => new Promise((told) => new PerformanceObserver((list) => {
    const one = list.getEntriesByName('first-contentful-paint')[0]
    if (one) told(one.startTime)
}).observe({type: 'paint', buffered: true}))"""


def spend() -> Usage:
    """A year of 40 projects, in whole cents."""
    last = datetime(NOW.year, NOW.month, NOW.day, tzinfo=UTC) + DAY
    first = last - DAYS * DAY
    rows = tuple(
        UsageRow(
            first + day * DAY, (f"project-{project:02d}",), Decimal(100 + 37 * project + day * (project % 7)) / 100
        )
        for day in range(DAYS)
        for project in range(PROJECTS)
    )
    return Usage(first, last, DAY, ("tag:project",), rows, NOW, 1)


def dashboard(usage: Usage) -> str:
    """Our page: the same bill in all four charts."""
    none = Unread("not part of this benchmark")
    parts: dict[str, Any] = dict.fromkeys(
        ("month", "forecast", "budgets", "anomalies", "runs", "chargeback", "advice"), none
    )
    spend_by = dict.fromkeys(("service", "tag:project", "tag:owner", "region"), usage)
    return render(DashboardData("123456789012", NOW, DAYS, LATE, spend_by, calls=4, **parts))  # type: ignore[arg-type]


def plotly_page(usage: Usage) -> str:
    """The peer: one chart of the same bill, plotly.js inside of the page so that it needs no network either."""
    import plotly.graph_objects as go

    days = [usage.start + timedelta(days=number) for number in range(DAYS)]
    traces = [go.Bar(name=keys[0], x=days, y=usage.series(keys).usd) for keys in usage.totals()]
    fig = go.Figure(traces).update_layout(barmode="stack")
    return str(fig.to_html(include_plotlyjs=True))


def measure() -> list[Ratio]:
    """The dashboard's figures: first paint under 1 s, and under 1 MB."""
    from playwright.sync_api import sync_playwright

    usage = spend()
    pages = {"ours": dashboard(usage), "plotly": plotly_page(usage)}
    times: dict[str, list[float]] = {name: [] for name in pages}
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        for name, html in pages.items():
            (Path(folder) / f"{name}.html").write_text(html, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        for run in range(RUNS + 1):
            for name in pages:
                context = browser.new_context(offline=True)
                page = context.new_page()
                page.goto((Path(folder) / f"{name}.html").as_uri())
                seconds = page.evaluate(PAINTED) / 1000
                context.close()
                if run:  # the first opening of each warms the browser up
                    times[name].append(seconds)
        browser.close()
    mine, other = (statistics.median(times[name]) for name in ("ours", "plotly"))
    ratio = statistics.median(a / b for a, b in zip(times["ours"], times["plotly"], strict=True))
    size, theirs = len(pages["ours"].encode()), len(pages["plotly"].encode())
    what = f"first paint of {DAYS} days of {PROJECTS} projects"
    return [
        Ratio(what, "a plotly page", mine, other, ratio),
        Ratio(what, "1 s", mine, LIMIT_SECONDS, mine / LIMIT_SECONDS),
        Ratio("its size (bytes)", "a plotly page", size, theirs, size / theirs),
        Ratio("its size (bytes)", "1 MB", size, LIMIT_BYTES, size / LIMIT_BYTES),
    ]
