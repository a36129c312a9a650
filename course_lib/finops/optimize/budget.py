"""A month's budget, several projects, many ways to rent: the plan of the highest value that the budget can pay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING

from course_lib.finops.optimize.demands import Demand, Offer
from course_lib.finops.optimize.errors import InfeasibleBudgetError, OptimizeError
from course_lib.finops.optimize.options import Option, options_of
from course_lib.finops.optimize.programme import solve

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Choice:
    """How one project is done.

    Attributes:
        project: which.
        offer: what is rented.
        instances: at the same time.
        hours: of wall time, within the project's deadline.
        usd: what is paid.
        why: in words.
    """

    project: str
    offer: Offer
    instances: int
    hours: float
    usd: float
    why: str


@dataclass(frozen=True)
class Refusal:
    """A project that is not done.

    Attributes:
        project: which.
        more_usd: by how much the budget had to be higher for this project beside those in the plan; None where money
            does not help.
        why: in words.
    """

    project: str
    more_usd: float | None
    why: str


@dataclass(frozen=True)
class BudgetPlan:
    """A plan of the highest value within a budget, and the cheapest of that value.

    Attributes:
        budget_usd, usd: what there is, and what the plan takes.
        value: the sum of the values of the projects that are done.
        choices, refused: each project is in one of them, in the order given.
    """

    budget_usd: float
    usd: float
    value: float
    choices: tuple[Choice, ...]
    refused: tuple[Refusal, ...]

    @property
    def left_usd(self) -> float:
        """What is left of the budget."""
        return self.budget_usd - self.usd

    def frame(self) -> pd.DataFrame:
        """Columns: project, done, instance, purchase, instances, hours, usd, why."""
        import pandas as pd

        rows = [
            (one.project, True, one.offer.instance, one.offer.purchase, one.instances, one.hours, one.usd, one.why)
            for one in self.choices
        ]
        rows += [(one.project, False, "", "", 0, 0.0, 0.0, one.why) for one in self.refused]
        names = ["project", "done", "instance", "purchase", "instances", "hours", "usd", "why"]
        return pd.DataFrame(rows, columns=names)

    def __str__(self) -> str:
        """The plan in lines."""
        head = f"{self.usd:,.2f} of {self.budget_usd:,.2f} USD for a value of {self.value:g}"
        done = [
            f"{one.project}: {one.instances} x {one.offer.name} for {one.hours:.1f} h, {one.usd:,.2f} USD; {one.why}"
            for one in self.choices
        ]
        return "\n".join([head, *done, *(f"{one.project}: not done; {one.why}" for one in self.refused)])


def optimize_budget(budget_usd: float, demands: Sequence[Demand], offers: Sequence[Offer]) -> BudgetPlan:
    """Choose purchase and instance for each project, or leave it, so that the value is highest within a budget.

    Args:
        budget_usd: for the month.
        demands: what projects want; names must differ.
        offers: what can be rented.

    Returns:
        The plan; exact, not a heuristic.

    Raises:
        InfeasibleBudgetError: when the required projects can't all be done; names the constraint that binds.
        OptimizeError: for a negative budget, or two demands or offers of one name.

    Source: see `programme`.
    """
    OptimizeError.check_not_negative("budget_usd", budget_usd)
    _check_names("demands", [demand.project for demand in demands])
    _check_names("offers", [offer.name for offer in offers])
    found: list[Option] = []
    reasons: dict[str, list[str]] = {demand.project: [] for demand in demands}
    for demand in demands:
        for offer in offers:
            options, reason = options_of(demand, offer)
            found += options
            reasons[demand.project] += [reason] if reason else []
    required = [demand.project for demand in demands if demand.required]
    cents = floor(budget_usd * 100 + 1e-6)
    chosen = solve(found, required, cents)
    if chosen is None:
        raise _infeasible(found, required, cents, reasons)
    by_project = {option.demand.project: option for option in chosen}
    choices = tuple(_choice(option, found) for option in chosen)
    refused = tuple(
        _refusal(demand.project, found, list(by_project), cents, reasons[demand.project])
        for demand in demands
        if demand.project not in by_project
    )
    paid = sum(option.cents for option in chosen) / 100
    return BudgetPlan(budget_usd, paid, sum(option.demand.value for option in chosen), choices, refused)


def _choice(taken: Option, found: Sequence[Option]) -> Choice:
    others = [one for one in found if one.demand is taken.demand and one.offer is not taken.offer]
    if not others:
        why = "the only offer that can do it"
    else:
        next_best = min(others, key=lambda one: one.cents)
        more = next_best.usd - taken.usd
        word = f"{more:,.2f} USD less than" if more >= 0 else f"{-more:,.2f} USD more, since limits exclude"
        why = f"{word} {next_best.offer.name}"
    return Choice(taken.demand.project, taken.offer, taken.instances, taken.hours, taken.usd, why)


def _refusal(project: str, found: Sequence[Option], done: list[str], cents: int, reasons: list[str]) -> Refusal:
    own = [option for option in found if option.demand.project == project]
    if not own:
        return Refusal(project, None, "; ".join(dict.fromkeys(reasons)) or "there are no offers")
    together = solve(
        [one for one in found if one.demand.project in (*done, project)], [*done, project], None, goal="cost"
    )
    cheapest = min(own, key=lambda one: one.cents)
    if together is None:
        return Refusal(project, None, f"the limits leave no room for it beside {', '.join(done)}")
    more = (sum(one.cents for one in together) - cents) / 100
    if more <= 0:
        return Refusal(
            project, 0.0, f"its value is {cheapest.demand.value:g}: leaving it saves {cheapest.usd:,.2f} USD"
        )
    return Refusal(
        project,
        more,
        f"costs at least {cheapest.usd:,.2f} USD; with {more:,.2f} USD more it would fit beside the others",
    )


def _infeasible(
    found: Sequence[Option], required: Sequence[str], cents: int, reasons: dict[str, list[str]]
) -> InfeasibleBudgetError:
    for project in required:
        if not any(option.demand.project == project for option in found):
            told = "; ".join(dict.fromkeys(reasons[project])) or "there are no offers"
            binding = "deadline" if "at once" in told else "offers"
            return InfeasibleBudgetError(
                f"required project {project} can't be done: {told}. Remedy: a later deadline, a higher limit, another "
                "chip or another way of purchase.",
                binding,
            )
    own = [option for option in found if option.demand.project in required]
    free = solve(own, required, None, limits=False, goal="cost")
    least = sum(option.cents for option in free or ())
    if least > cents:
        return InfeasibleBudgetError(
            f"budget_usd={cents / 100:,.2f} binds: the required projects cost at least {least / 100:,.2f} USD. Remedy: "
            f"{(least - cents) / 100:,.2f} USD more, or fewer required projects.",
            "budget",
        )
    named = sorted({one.offer.name for one in own if one.offer.limit is not None})
    helps = [name for name in named if solve(own, required, cents, goal="cost", ignored=(name,)) is not None]
    told = " or ".join(helps) if helps else ", ".join(named)
    limited = solve(own, required, None, goal="cost")
    also = "" if limited is None else f" (within them it takes {sum(one.cents for one in limited) / 100:,.2f} USD)"
    return InfeasibleBudgetError(
        f"the limit of {told} binds: the required projects don't fit at the same time within {cents / 100:,.2f} USD"
        f"{also}. Remedy: a higher limit there, later deadlines, or more money.",
        "limit",
    )


def _check_names(what: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise OptimizeError.of(what, name, "is there twice", "give each a name of its own")
