"""Small charts as SVG inside the page: paths in user units, colors by class, so that the style sheet has both themes.

A chart is a picture for eyes and one sentence for ears (`role="img"` with a label); its numbers stand in a table. No
part of it is drawn by a script. Source: https://www.w3.org/TR/SVG2/struct.html and https://www.w3.org/TR/graphics-aria-1.0/.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from course_lib.finops.dashboard.markup import Markup, element, joined

WIDTH, HEIGHT = 720, 240
LEFT, RIGHT, TOP, BOTTOM = 72, 24, 26, 30
TICKS = 4


@dataclass(frozen=True)
class Scale:
    """From dollars to the vertical axis.

    Attributes:
        top: the largest amount on it, a round number.
        step: from one tick to the next.
    """

    top: float
    step: float

    @classmethod
    def up_to(cls, amount: float) -> Scale:
        """The smallest round scale that holds an amount; of 1 USD where there is none."""
        raw = (amount if amount > 0 else 1.0) / TICKS
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(one * power for one in (1, 2, 2.5, 5, 10) if one * power >= raw * (1 - 1e-9))
        return cls(step * math.ceil(max(amount, step) / step - 1e-9), step)

    def y(self, amount: float) -> float:
        """Where an amount stands."""
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - amount / self.top)


def bars(
    label: str,
    days: Sequence[date],
    stacks: Sequence[Sequence[float]],
    *,
    open_bars: int = 0,
    marks: Sequence[tuple[int, int]] = (),
) -> Markup:
    """Stacked bars over days.

    Args:
        label: the sentence for who can't see it.
        days: the first day of each bar.
        stacks: USD by series and bar, shape (series, bars); the first series stands at the bottom. What is below 0
            (a refund) is not drawn.
        open_bars: how many at the end are not complete; drawn paler.
        marks: (first, last) bars under a mark, such as an anomaly's.
    """
    sums = [sum(max(usd, 0.0) for usd in column) for column in zip(*stacks, strict=True)]
    scale = Scale.up_to(max(sums, default=0.0))
    pitch = (WIDTH - LEFT - RIGHT) / max(1, len(days))
    width = max(1.0, pitch * 0.82)
    whole, base = len(days) - open_bars, [0.0] * len(days)
    shapes: list[Markup] = []
    for number, series in enumerate(stacks):
        done: list[str] = []
        still: list[str] = []
        for place, amount in enumerate(series):
            if amount <= 0:
                continue
            low, high = scale.y(base[place]), scale.y(base[place] + amount)
            base[place] += amount
            path = f"M{_n(LEFT + pitch * place)} {_n(low)}h{_n(width)}V{_n(high)}h{_n(-width)}z"
            (done if place < whole else still).append(path)
        shapes += [element("path", d="".join(done), class_=f"s{number}")] if done else []
        shapes += [element("path", d="".join(still), class_=f"s{number} open")] if still else []
    for first, last in marks:
        at, far = LEFT + pitch * first, LEFT + pitch * last + width
        shapes.append(element("path", d=f"M{_n(at)} {TOP - 10}H{_n(max(far, at + 6))}v5H{_n(at)}z", class_="mark"))
    return _svg(label, scale, [*shapes, *_dates(days, pitch, width)])


def course(
    label: str,
    spent: Sequence[float],
    length: int,
    cone: tuple[float, float, float] | None,
    limit: float | None,
    ticks: Sequence[tuple[int, str]],
) -> Markup:
    """A month's cumulative spend, where it will probably end, and the budget.

    Args:
        label: the sentence for who can't see it.
        spent: cumulative USD after each complete day.
        length: days of the month.
        cone: (low, median, high) of the month's total; None without a forecast.
        limit: the budget; None without one.
        ticks: (day of the month from 1, its words).
    """
    scale = Scale.up_to(max([*spent, *(cone or ()), limit or 0.0, 0.0]))

    def x(day: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT - 8) * day / length

    points = [(0, 0.0), *enumerate(spent, start=1)]
    shapes: list[Markup] = []
    if cone is not None:
        low, middle, high = cone
        at, usd = points[-1]
        begin = f"M{_n(x(at))} {_n(scale.y(usd))}"
        end = _n(x(length))
        shapes.append(element("path", d=f"{begin}L{end} {_n(scale.y(high))}V{_n(scale.y(low))}z", class_="cone"))
        shapes.append(element("path", d=f"{begin}L{end} {_n(scale.y(middle))}", class_="middle"))
        whisker = f"M{end} {_n(scale.y(high))}V{_n(scale.y(low))}m-6 0h12M{_n(x(length) - 6)} {_n(scale.y(high))}h12"
        shapes.append(element("path", d=whisker, class_="whisker"))
    line = "L".join(f"{_n(x(day))} {_n(scale.y(usd))}" for day, usd in points)
    shapes.append(element("path", d=f"M{line}", class_="line"))
    if limit is not None:
        shapes.append(element("path", d=f"M{LEFT} {_n(scale.y(limit))}H{WIDTH - RIGHT}", class_="limit"))
        words = element("text", "budget", x=LEFT + 4, y=_n(scale.y(limit) - 5), class_="word")
        shapes.append(words)
    shapes += [element("text", words, x=_n(x(day - 0.5)), y=HEIGHT - 8, text_anchor="middle") for day, words in ticks]
    return _svg(label, scale, shapes)


def share(label: str, part: float) -> Markup:
    """A bar of one fraction, for a row of a table; decoration beside a number, and so hidden from screen readers."""
    width = 100 * max(0.0, min(1.0, part))
    inside = element("rect", width=_n(width), height=8, class_="s0")
    return element("svg", element("title", label), inside, viewBox="0 0 100 8", class_="share", aria_hidden="true")


def _svg(label: str, scale: Scale, shapes: Sequence[Markup]) -> Markup:
    ticks = [scale.step * number for number in range(round(scale.top / scale.step) + 1)]
    grid = "".join(f"M{LEFT} {_n(scale.y(usd))}H{WIDTH - RIGHT}" for usd in ticks)
    words = [
        element(
            "text", f"{usd:,.{0 if scale.step >= 1 else 2}f}", x=LEFT - 8, y=_n(scale.y(usd) + 4), text_anchor="end"
        )
        for usd in ticks
    ]
    unit = element("text", "USD", x=LEFT - 8, y=14, text_anchor="end")
    inside = joined([element("path", d=grid, class_="grid"), unit, *words, *shapes])
    return element("svg", inside, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=label, class_="chart")


def _dates(days: Sequence[date], pitch: float, width: float) -> list[Markup]:
    """A few days' names, evenly, without the one at the end that would not fit."""
    every = max(1, math.ceil(len(days) / 6))
    return [
        element("text", f"{day:%d %b}", x=_n(LEFT + pitch * place + width / 2), y=HEIGHT - 8, text_anchor="middle")
        for place, day in enumerate(days)
        if place % every == 0 and LEFT + pitch * place < WIDTH - 50
    ]


def _n(number: float) -> str:
    """A coordinate with one decimal, as short as it can be."""
    return f"{number:.1f}".rstrip("0").rstrip(".") or "0"
