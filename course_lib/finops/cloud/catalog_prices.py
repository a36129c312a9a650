"""The catalog's prices, for an account that charges: the first that is known of several, or None."""

from __future__ import annotations

from functools import lru_cache

from course_lib.catalog import CatalogError, instance


@lru_cache
def known_price(name: str, *wanted: tuple[str, str | None]) -> tuple[str, float] | None:
    """The first known price of an instance type: how it is bought, and USD per hour.

    Args:
        name: the type; one that the catalog does not hold has no price.
        wanted: ways of purchase with regions, in the order of preference; region None takes any.
    """
    try:
        spec = instance(name)
    except CatalogError:
        return None
    for purchase, region in wanted:
        row = spec.price(purchase, region)
        if row is not None and row.usd_per_hour is not None:
            return purchase, row.usd_per_hour
    return None
