"""The integer programme: which option for which project, solved exactly by HiGHS.

    maximise    sum value_p y_o          over options o, each of one project p
    subject to  sum_o y_o <= 1           for each project (= 1 where it is required)
                sum cents_o y_o <= budget
                sum instances_o y_o <= limit    for each offer with a limit
                y binary

Of the plans of the highest value, the cheapest is taken. Source: Huangfu and Hall 2018, "Parallelizing the dual revised
simplex method", https://highs.dev, through `scipy.optimize.milp`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from course_lib.finops.optimize.options import Option

Goal = Literal["value", "cost"]
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
    budget = budget_cents
    while True:
        chosen = _solve(options, required, budget, limits, goal, ignored)
        over = 0 if chosen is None or budget_cents is None else sum(one.cents for one in chosen) - budget_cents
        if over <= 0 or budget is None:
            return chosen
        budget -= over  # HiGHS takes 0.999999 for 1; the plan has to keep the budget with 1


def _solve(
    options: Sequence[Option],
    required: Collection[str],
    budget: int | None,
    limits: bool,
    goal: Goal,
    ignored: Collection[str],
) -> list[Option] | None:
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp  # type: ignore[import-untyped]

    cents = np.array([option.cents for option in options], dtype=float)
    value = np.array([option.demand.value for option in options], dtype=float)
    rules = []
    for project in {option.demand.project for option in options} | set(required):
        row = np.array([option.demand.project == project for option in options], dtype=float)
        rules.append(LinearConstraint(row, 1.0 if project in required else 0.0, 1.0))
    if budget is not None:
        scale = max(float(cents.max()), 1.0)  # rows near 1 keep the solver's tolerance meaningful
        rules.append(LinearConstraint(cents / scale, -np.inf, budget / scale))
    for offer in {option.offer for option in options} if limits else ():
        if offer.limit is not None and offer.name not in ignored:
            row = np.array([option.instances if option.offer == offer else 0 for option in options], dtype=float)
            rules.append(LinearConstraint(row, -np.inf, offer.limit))
    fixed = {"integrality": np.ones(len(options)), "bounds": Bounds(0, 1), "options": {"mip_rel_gap": 0.0}}
    cheap = cents / max(float(cents.max()), 1.0)
    if goal == "value":
        best = milp(-value, constraints=rules, **fixed)
        if best.x is None:
            return None
        least = float(value @ np.round(best.x))
        rules.append(LinearConstraint(value, least - SLACK * max(1.0, abs(least)), np.inf))
    found = milp(cheap, constraints=rules, **fixed)
    return None if found.x is None else [option for option, taken in zip(options, found.x, strict=True) if taken > 0.5]
