"""The integer programme: which option for which project, solved exactly by HiGHS.

    maximise    sum value_p y_o          over options o, each of one project p
    subject to  sum_o y_o <= 1           for each project (= 1 where it is required)
                sum cents_o y_o <= budget
                sum instances_o y_o <= limit    for each offer with a limit
                y binary

Of the plans of the highest value, the cheapest is taken. The solver calculates with tolerances, so the budget is
given to it digit by digit, and the value of what it finds is added up again. Source: Huangfu and Hall 2018,
"Parallelizing the dual revised simplex method", https://highs.dev, through `scipy.optimize.milp`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction
from math import inf
from typing import Literal

from course_lib.finops.optimize.options import Option

Goal = Literal["value", "cost"]
Rule = tuple[list[float], float, float]  # coefficients of the options, then of carries; lower and upper bound
BASE = 1_000  # of the digits: far below a million, since HiGHS takes 0.999999 for 1
SLACK = 1e-6  # on the value, when the cheapest plan of that value is looked for


def solve(
    options: Sequence[Option],
    required: Collection[str],
    budget_cents: int | None,
    *,
    limits: bool = True,
    goal: Goal = "value",
    ignored: Collection[str] = (),
) -> list[Option] | None:
    """The best choice of options, or None if what is required can't be had.

    Args:
        options: of all projects.
        required: names of projects that must be in the choice.
        budget_cents: None for no budget.
        limits: whether offers' limits count.
        goal: "value": the highest value, and of those plans the cheapest; "cost": the cheapest.
        ignored: names of offers whose limits don't count.
    """
    if not options:
        return None if required else []
    rules: list[Rule] = []
    for project in sorted({option.demand.project for option in options} | set(required)):
        row = [float(option.demand.project == project) for option in options]
        rules.append((row, 1.0 if project in required else 0.0, 1.0))
    for offer in dict.fromkeys(option.offer for option in options) if limits else ():
        if offer.limit is not None and offer.name not in ignored:
            row = [float(option.instances) if option.offer == offer else 0.0 for option in options]
            rules.append((row, -inf, offer.limit))
    if budget_cents is not None:
        rules += _within_budget([option.cents for option in options], budget_cents)
    costs = [float(option.cents) for option in options]
    if goal == "cost":
        return _least(options, costs, rules)
    worth = [float(option.demand.value) for option in options]
    best = _least(options, [-one for one in worth], rules)
    if best is None:
        return None
    most = _value(best)
    rules.append((worth, float(most) - SLACK * max(1.0, float(most)), inf))
    while True:
        found = _least(options, costs, rules)
        if found is None:
            return best
        missing = most - _value(found)
        if missing <= 0:
            return found
        # A plan that is worth more than these options takes another one as well.
        rules.append(([float(option not in found) for option in options], 1.0, inf))
        rules.append((worth, float(most - missing / 2), inf))


def _value(chosen: Sequence[Option]) -> Fraction:
    """By the decimals as they were written: 0.1 + 0.2 is 0.3."""
    return sum((Fraction(str(option.demand.value)) for option in chosen), Fraction(0))


def _within_budget(cents: Sequence[int], budget: int) -> list[Rule]:
    """A sum of whole cents <= a budget, as a sum is done by hand: a row for each digit, with carries between them.

    In one row, where a million dollars stand beside a cent, the solver's tolerance of a millionth would be a dollar.
    """
    rules: list[Rule] = []
    place, rest, left = 0, list(cents), budget
    while True:
        last = max(left, *rest) < BASE
        row = [float(one % BASE) for one in rest] + [0.0] * (place + 1)
        if place:
            row[len(cents) + place - 1] = 1.0  # what the row before carries over
        if not last:
            row[len(cents) + place] = -float(BASE)
        rules.append((row, -inf, left % BASE + 0.5))
        if last:
            return rules
        place, rest, left = place + 1, [one // BASE for one in rest], left // BASE


def _least(options: Sequence[Option], goal: Sequence[float], rules: Sequence[Rule]) -> list[Option] | None:
    """The plan with the least goal, or None."""
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp  # type: ignore[import-untyped]

    width = max(len(row) for row, _, _ in rules)
    rows = np.array([[*row, *[0.0] * (width - len(row))] for row, _, _ in rules])
    upper = np.array([1.0] * len(options) + [np.inf] * (width - len(options)))
    found = milp(
        np.array([*goal, *[0.0] * (width - len(goal))]),
        constraints=LinearConstraint(rows, [low for _, low, _ in rules], [high for _, _, high in rules]),
        integrality=np.ones(width),
        bounds=Bounds(0, upper),
        options={"mip_rel_gap": 0.0},
    )
    if found.x is None:
        return None
    return [option for option, taken in zip(options, found.x[: len(options)], strict=True) if taken > 0.5]
