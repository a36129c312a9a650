"""Training once and serving for months, added up, for each pair of chips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from course_lib.arithmetic import run_cost
from course_lib.catalog import CatalogError, UnknownNameError, instance
from course_lib.finops.errors import FinopsError
from course_lib.finops.lifecycle.fleet import Fleet, Traffic, fleet
from course_lib.finops.lifecycle.serving import DoesNotFitError


@dataclass(frozen=True)
class Life:
    """A model from its first training step to its last answer.

    Args:
        trained_on: instance type.
        served_on: instance type.
        training_usd: of one training, or of all of them when it is repeated.
        serving_usd_per_day: of the fleet.
        days: in service.
    """

    trained_on: str
    served_on: str
    training_usd: float
    serving_usd_per_day: float
    days: float

    @property
    def serving_usd(self) -> float:
        """Of the whole service."""
        return self.days * self.serving_usd_per_day

    @property
    def usd(self) -> float:
        """Of the whole life."""
        return self.training_usd + self.serving_usd

    @property
    def days_until_serving_costs_more(self) -> float:
        """Days of service after which it has cost as much as the training."""
        return self.training_usd / self.serving_usd_per_day


@dataclass(frozen=True)
class Lives:
    """All pairs of chips, the cheapest first, and those that could not be priced or do not fit, with the reason."""

    priced: tuple[Life, ...]
    left_out: dict[str, str]


def life(training_usd: float, served: Fleet, days: float, *, trained_on: str, trainings: int = 1) -> Life:
    """Add up one life.

    Args:
        training_usd: of one training.
        served: the fleet.
        days: in service.
        trained_on: instance type of the training.
        trainings: how often it is trained anew in that time.

    Raises:
        FinopsError: for a number out of range.
    """
    FinopsError.check_not_negative("training_usd", training_usd)
    FinopsError.check_not_negative("days", days)
    FinopsError.check_count("trainings", trainings)
    return Life(trained_on, served.serving.instance, trainings * training_usd, served.usd_per_day, days)


def compare_lives(
    model: str,
    tokens: float,
    traffic: Traffic,
    days: float,
    *,
    train_on: Sequence[str],
    serve_on: Sequence[str],
    mfu: float,
    efficiency: float,
    trainings: int = 1,
    seconds_per_token_at_most: float | None = None,
) -> Lives:
    """Every pair of a chip to train on and a chip to serve on.

    Args:
        model: name of a decoder.
        tokens: of one training.
        traffic: requests in service.
        days: in service.
        train_on: instance types.
        serve_on: instance types.
        mfu: of training, the same on each: replace it by your measurements before you decide.
        efficiency: of serving, see `serving`; the same on each.
        trainings: how often it is trained anew.
        seconds_per_token_at_most: see `serving`.

    Returns:
        The lives, cheapest first; types without a known price, without bf16, or without room for the model, under
        `left_out`.

    Raises:
        FinopsError: for a number out of range, or an empty list.
        CatalogError: for a name that the catalog lacks.
    """
    if not train_on or not serve_on:
        raise FinopsError.of("train_on, serve_on", (list(train_on), list(serve_on)), "are empty", "name instance types")
    left_out: dict[str, str] = {}
    trained: dict[str, float] = {}
    for name in train_on:
        try:
            price = instance(name).usd_per_hour("on_demand")
            trained[name] = run_cost(model, tokens, name, mfu=mfu, usd_per_hour=price).usd
        except UnknownNameError:
            raise
        except CatalogError as error:  # no price, or no such number format
            left_out[f"train on {name}"] = str(error)
    served: dict[str, Fleet] = {}
    for name in serve_on:
        try:
            served[name] = fleet(
                model, name, traffic, efficiency=efficiency, seconds_per_token_at_most=seconds_per_token_at_most
            )
        except UnknownNameError:
            raise
        except (CatalogError, DoesNotFitError) as error:
            left_out[f"serve on {name}"] = str(error)
    lives = [
        life(usd, machines, days, trained_on=name, trainings=trainings)
        for name, usd in trained.items()
        for machines in served.values()
    ]
    return Lives(tuple(sorted(lives, key=lambda one: one.usd)), left_out)
