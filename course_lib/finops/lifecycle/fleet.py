"""How many instances a stream of requests keeps, and what they cost while it is quiet too."""

from __future__ import annotations

import math
from dataclasses import dataclass

from course_lib.catalog import instance as instance_named
from course_lib.finops.errors import FinopsError
from course_lib.finops.lifecycle.serving import Serving, serving

SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class Traffic:
    """Requests as they come.

    Args:
        requests_per_day: on average.
        prompt_tokens: of each.
        answer_tokens: of each.
        peak_over_mean: the busiest moment's rate over the average: the fleet is bought for the peak.

    Raises:
        FinopsError: for a number out of range.
    """

    requests_per_day: float
    prompt_tokens: int
    answer_tokens: int
    peak_over_mean: float = 1.0

    def __post_init__(self) -> None:
        FinopsError.check_positive("requests_per_day", self.requests_per_day, "give the average of a day")
        FinopsError.check_count("prompt_tokens", self.prompt_tokens)
        FinopsError.check_count("answer_tokens", self.answer_tokens)
        if not 1 <= self.peak_over_mean < math.inf:
            limit = "must be at least 1 and finite"
            raise FinopsError.of("peak_over_mean", self.peak_over_mean, limit, "write 3 for a peak of three times")


@dataclass(frozen=True)
class Fleet:
    """Instances that are always on.

    Args:
        serving: one of them.
        instances: how many.
        usd_per_hour: of one.
        traffic: what they answer.
    """

    serving: Serving
    instances: int
    usd_per_hour: float
    traffic: Traffic

    @property
    def usd_per_day(self) -> float:
        """What the fleet costs, busy or not."""
        return 24 * self.instances * self.usd_per_hour

    @property
    def busy_share(self) -> float:
        """Share of the fleet's time in which it works: the rest is paid for as well."""
        return self.traffic.requests_per_day / SECONDS_PER_DAY / (self.instances * self.serving.requests_per_second)

    @property
    def usd_per_million_tokens(self) -> float:
        """Price of a million generated tokens, the quiet hours included."""
        return self.usd_per_day / (self.traffic.requests_per_day * self.traffic.answer_tokens) * 1e6


def fleet(
    model: str,
    instance: str,
    traffic: Traffic,
    *,
    efficiency: float,
    at_least: int = 1,
    usd_per_hour: float | None = None,
    purchase: str = "on_demand",
    seconds_per_token_at_most: float | None = None,
    weight_bytes: float = 2.0,
) -> Fleet:
    """The smallest fleet of one instance type that answers the traffic's peak.

    Args:
        model: name of a decoder.
        instance: name of an instance type.
        traffic: the requests.
        efficiency: see `serving`.
        at_least: instances that stay whatever the traffic, such as 2 so that one may fail.
        usd_per_hour: of one instance; None takes the catalog's.
        purchase: which of the catalog's prices.
        seconds_per_token_at_most: see `serving`.
        weight_bytes: see `serving`.

    Returns:
        The fleet.

    Raises:
        FinopsError: as for `serving`, or for a number out of range.
        UnknownPriceError: when nobody published the price; give `usd_per_hour`.
    """
    FinopsError.check_count("at_least", at_least)
    one = serving(
        model,
        instance,
        prompt_tokens=traffic.prompt_tokens,
        answer_tokens=traffic.answer_tokens,
        efficiency=efficiency,
        seconds_per_token_at_most=seconds_per_token_at_most,
        weight_bytes=weight_bytes,
    )
    price = instance_named(instance).usd_per_hour(purchase) if usd_per_hour is None else usd_per_hour
    FinopsError.check_positive("usd_per_hour", price, "give the price of one instance")
    peak = traffic.requests_per_day * traffic.peak_over_mean / SECONDS_PER_DAY
    return Fleet(one, max(at_least, math.ceil(peak / one.requests_per_second)), price, traffic)
