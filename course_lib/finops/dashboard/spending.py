"""The parts of the page that come from the bill: spend by day and group, the forecast against the budget, anomalies."""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

from course_lib.finops.anomalies import Anomaly
from course_lib.finops.dashboard import charts
from course_lib.finops.dashboard.data import GROUPS, DashboardData, Unread
from course_lib.finops.dashboard.markup import Markup, element, fixed, folded, joined, name, table, usd
from course_lib.finops.forecast import MonthTotal
from course_lib.finops.usage import DAY, Usage

MOST_BARS = 100  # with more days than this, a bar is a week
COLORS = 6  # series that have a color of their own, "other" among them
NOTHING = {"service": "no service", "region": "no region"}
SHOWN = 25  # anomalies in the table


def spend_parts(data: DashboardData) -> Markup:
    """The spend by each group: a chart, the sums, and behind them the numbers by day."""
    order = ("tag:project", "service", "tag:owner", "region")
    return element("div", *(_spend(data, by) for by in order), class_="two")


def _spend(data: DashboardData, by: str) -> Markup:
    group, usage = GROUPS[by], data.spend[by]
    head = element("h3", f"By {group}")
    if isinstance(usage, Unread):
        return element("section", head, unread(usage))
    if usage.empty:
        return element("section", head, element("p", "Nothing was spent in this time."))
    keys, bars = list(usage.totals()), _bars(usage)
    named = keys if len(keys) <= COLORS else keys[: COLORS - 1]
    stacks = [_binned(usage, bars, [key]) for key in named]
    words: list[Markup] = [name(key[0], NOTHING.get(group, "untagged")) for key in named]
    if len(named) < len(keys):
        stacks.append(_binned(usage, bars, keys[len(named) :]))
        words.append(Markup(f"{len(keys) - len(named)} others"))
    days = [first for first, _ in bars]
    whole = usage.end.date() - usage.incomplete * DAY
    open_bars = sum(after > whole for _, after in bars)
    step = "day" if len(bars) == usage.steps else "week"
    label = f"Spend by {group} and {step} in USD, {span(usage)}. The sums and the numbers are in the tables below."
    marks = _marks(data, bars) if by == "tag:project" else []
    picture = charts.bars(label, days, stacks, open_bars=open_bars, marks=marks)
    legend = element("ul", *(element("li", _square(place), word) for place, word in enumerate(words)), class_="key")
    total = usage.total
    sums = [
        (name(key[0], NOTHING.get(group, "untagged")), usd(amount), f"{amount / total:.1%}" if total else "")
        for key, amount in usage.totals().items()
    ]
    rows = [
        (
            fixed(f"{day:%Y-%m-%d}"),
            *(usd(series[place]) for series in stacks),
            usd(sum(series[place] for series in stacks)),
        )
        for place, day in enumerate(days)
    ]
    per_step = folded(
        f"USD by {step}",
        _wide(f"Spend by {group}; each row is a {step} and its first day", (step, *words, "all"), rows),
    )
    note = Markup("")
    if marks:
        note = element("p", "A bar above the columns marks an anomaly.", class_="soft")
    return element(
        "section",
        head,
        element("figure", picture, legend, note),
        table(f"Sum of {span(usage)} by {group}", (group, "USD", "share"), sums, numbers=(1, 2)),
        per_step,
    )


def _wide(caption: str, columns: Sequence[object], rows: Sequence[Sequence[object]]) -> Markup:
    return table(caption, columns, rows, numbers=range(1, len(columns)))  # type: ignore[arg-type]


def _square(place: int) -> Markup:
    return element(
        "svg", element("rect", width=10, height=10, class_=f"s{place}"), viewBox="0 0 10 10", aria_hidden="true"
    )


def _bars(usage: Usage) -> list[tuple[date, date]]:
    """(first day, day after the last) of each bar."""
    length = 1 if usage.steps <= MOST_BARS else 7
    first = usage.start.date()
    return [
        (first + timedelta(days=at), first + timedelta(days=min(at + length, usage.steps)))
        for at in range(0, usage.steps, length)
    ]


def _binned(usage: Usage, bars: Sequence[tuple[date, date]], keys: Sequence[tuple[str, ...]]) -> list[float]:
    length, wanted = (bars[0][1] - bars[0][0]).days, set(keys)
    found = [Decimal()] * len(bars)
    for row in usage.rows:
        if row.keys in wanted:
            found[(row.start - usage.start) // DAY // length] += row.usd
    return [float(one) for one in found]


def _marks(data: DashboardData, bars: Sequence[tuple[date, date]]) -> list[tuple[int, int]]:
    if isinstance(data.anomalies, Unread):
        return []
    found = []
    for one in data.anomalies:
        under = [
            place for place, (first, after) in enumerate(bars) if first <= one.last.date() and after > one.start.date()
        ]
        if under:
            found.append((under[0], under[-1]))
    return found


def forecast_part(data: DashboardData) -> Markup:
    """The month so far, where it will probably end, and the budgets."""
    if isinstance(data.forecast, Unread):
        return joined([unread(data.forecast), _budgets(data)])
    if isinstance(data.month, Unread):
        return joined([unread(data.month), _budgets(data)])
    told, end = data.forecast, data.forecast.month(data.month.month)
    length = calendar.monthrange(data.now.year, data.now.month)[1]
    usage = next(one for one in data.spend.values() if isinstance(one, Usage))
    series = usage.series().complete()
    daily = [amount for day, amount in zip(series.days, series.usd, strict=True) if f"{day:%Y-%m}" == end.month]
    spent = [sum(daily[: place + 1]) for place in range(len(daily))]
    budget = data.budget
    limit = budget.limit_usd if budget else None
    interval = f"{usd(end.lower_usd)} to {usd(end.upper_usd)} USD"
    label = (
        f"Spend of {end.month}, added up day by day: {usd(end.spent_usd)} USD on complete days, and {usd(end.usd)} USD "
        f"forecast for the whole month, {told.level:.0%} interval {interval}"
        + (f", against a budget of {usd(limit)} USD." if limit is not None else "; there is no budget for the account.")
    )
    ticks = [(day, f"{day} {data.now:%b}") for day in (1, 8, 15, 22, length)]
    picture = charts.course(label, spent, length, (end.lower_usd, end.usd, end.upper_usd), limit, ticks)
    verdict = element("p", _verdict(data, end), class_="warn" if limit is not None and end.usd > limit else None)
    days = folded(
        "The forecast by day",
        table(
            f"Forecast by {told.method}, with {told.level:.0%} intervals",
            ("day", "USD", "from", "to"),
            [
                (fixed(day.isoformat()), usd(one), usd(low), usd(high))
                for day, one, low, high in zip(told.days, told.usd, told.lower_usd, told.upper_usd, strict=True)
            ],
            numbers=(1, 2, 3),
        ),
    )
    notes = element(
        "p",
        f"Method: {told.method}, chosen by a backtest. " if told.errors else f"Method: {told.method}. ",
        "The line between today and the end is straight; only the end of the month is forecast. ",
        *(f"Note: {note}. " for note in told.notes),
        class_="soft",
    )
    return joined([verdict, element("figure", picture), notes, days, _budgets(data)])


def _verdict(data: DashboardData, end: MonthTotal) -> str:
    told = f"{end.month} will probably end at {usd(end.usd)} USD ({usd(end.lower_usd)} to {usd(end.upper_usd)})"
    if data.budget is None:
        return told + "."
    limit = data.budget.limit_usd
    if end.lower_usd > limit:
        return f"{told}: above the budget of {usd(limit)} USD, with the whole interval."
    if end.usd > limit:
        return f"{told}: more likely than not above the budget of {usd(limit)} USD."
    if end.upper_usd > limit:
        return f"{told}: probably within the budget of {usd(limit)} USD, but not surely."
    return f"{told}: within the budget of {usd(limit)} USD."


def _budgets(data: DashboardData) -> Markup:
    if isinstance(data.budgets, Unread):
        return unread(data.budgets)
    if not data.budgets:
        return element("p", "AWS Budgets has no monthly cost budget.", class_="soft")
    rows = [
        (
            name(one.name),
            one.scope,
            usd(one.limit_usd),
            "not counted yet" if one.spent_usd is None else usd(one.spent_usd),
            "" if one.spent_usd is None or not one.limit_usd else f"{one.spent_usd / one.limit_usd:.0%}",
        )
        for one in data.budgets
    ]
    columns = ("budget", "of", "USD a month", "USD counted by AWS Budgets", "used")
    return table("Monthly cost budgets", columns, rows, numbers=(2, 3, 4))


def anomalies_part(data: DashboardData) -> Markup:
    """What is out of the ordinary, the dearest first."""
    if isinstance(data.anomalies, Unread):
        return unread(data.anomalies)
    if not data.anomalies:
        return element("p", f"Nothing out of the ordinary in the last {data.days} days.")
    shown = data.anomalies[:SHOWN]
    rows = [
        (
            _scope(one.scope),
            one.kind,
            fixed(f"{one.start:%Y-%m-%d}"),
            element("strong", "goes on", class_="k") if one.open else fixed(f"{one.last:%Y-%m-%d}"),
            usd(one.expected_usd),
            usd(one.usd),
            usd(one.impact_usd),
            joined(_with_commas([_scope(scope) for scope in one.also])),
        )
        for one in sorted(shown, key=lambda one: not one.open)
    ]
    columns = ("where", "kind", "from", "to", "USD expected", "USD", "USD too much", "also in")
    left = len(data.anomalies) - len(shown)
    more = element("p", f"{left} smaller ones are not shown.") if left else ""
    return joined([table("Anomalies, those that go on first", columns, rows, numbers=(4, 5, 6)), more])


def open_anomalies(data: DashboardData) -> tuple[Anomaly, ...]:
    """Those that go on."""
    return () if isinstance(data.anomalies, Unread) else tuple(one for one in data.anomalies if one.open)


def _scope(scope: str) -> Markup:
    return element("bdi", scope.removeprefix("tag:"))


def _with_commas(words: Sequence[Markup]) -> list[str]:
    return [piece for place, word in enumerate(words) for piece in ([", ", word] if place else [word])]


def span(usage: Usage) -> str:
    """The interval in words."""
    return f"{usage.start:%Y-%m-%d} to {usage.end - DAY:%Y-%m-%d}"


def unread(part: Unread) -> Markup:
    """The reason in place of the part."""
    return element("p", element("strong", "Not read: "), part.reason, class_="warn")
