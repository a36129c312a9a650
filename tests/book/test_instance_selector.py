"""The instance selector: the smallest cluster really is the smallest, and the bill is the catalog's.

Oracle: a plain walk over cluster sizes, and the well-known 16 bytes of state per parameter of mixed-precision Adam.
"""

import pytest

from book.instance_selector import (
    INSTANCES,
    MOST_INSTANCES,
    USABLE_FRACTION,
    bytes_per_chip,
    cheapest_fit,
    selector,
    smallest_fit,
)
from course_lib import arithmetic, catalog


@pytest.mark.parametrize(("model", "name"), [("llama3-8b", "trn1.32xlarge"), ("llama3-70b", "p4d.24xlarge")])
def test_one_instance_fewer_would_not_hold_the_model(model: str, name: str) -> None:
    fit = smallest_fit(model, name, 3, "full")
    item = catalog.instance(name)
    room = USABLE_FRACTION * item.accelerator_spec.memory_bytes
    walked = next(
        n for n in range(1, MOST_INSTANCES + 1) if bytes_per_chip(model, n * item.accelerators, 3, "full") <= room
    )
    assert fit is not None
    assert fit.instances == walked
    assert fit.chips == walked * item.accelerators


def test_no_cluster_holds_less_than_sixteen_bytes_per_parameter() -> None:
    for name in INSTANCES:
        fit = smallest_fit("llama3-8b", name, 3, "full")
        assert fit is not None, name
        held = fit.chips * catalog.instance(name).accelerator_spec.memory_bytes
        assert held >= 16 * arithmetic.count_parameters("llama3-8b").total


def test_replicated_states_do_not_fit_however_many_instances() -> None:
    """A 70-billion-parameter model takes 1.1 TB on every chip under DDP."""
    assert smallest_fit("llama3-70b", "p5.48xlarge", 0, "full") is None


def test_the_price_is_the_number_of_instances_times_the_catalogs() -> None:
    fit = smallest_fit("llama3-405b", "p5.48xlarge", 3, "full")
    assert fit is not None
    assert fit.usd_per_hour == pytest.approx(fit.instances * catalog.instance("p5.48xlarge").usd_per_hour())


def test_an_unknown_price_is_never_the_cheapest() -> None:
    fit = smallest_fit("llama3-8b", "trn2u.48xlarge", 3, "full")
    assert fit is not None
    assert fit.usd_per_hour is None
    best = cheapest_fit("llama3-8b", 3, "full")
    assert best is not None
    assert best.usd_per_hour is not None


def test_a_budget_below_every_price_leaves_nothing() -> None:
    assert cheapest_fit("llama3-70b", 3, "full", budget=0.01) is None


def test_the_page_widget_fits_a_page() -> None:
    """Oracle: the page budget of 1.5 MB, of which a widget may take a tenth."""
    assert len(selector().data) < 150_000
