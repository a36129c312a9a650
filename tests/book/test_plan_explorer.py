"""The plan explorer says what the planner says. Oracle: plan, called for the same choice."""

import json
from html import unescape
from itertools import product
from typing import Any

import pytest
from bs4 import BeautifulSoup

from book.kit import plan_explorer, quantities
from book.kit.explorer import ExplorerError
from book.kit.plan_widget import SEQUENCE_LENGTH, SEQUENCES, TOKENS
from course_lib.arithmetic import InfeasibleError, instance_cluster, plan
from course_lib.catalog import CatalogError

MODELS, INSTANCES, CHIPS = ("llama3-8b", "llama3-405b"), ("p5.48xlarge", "trn2.48xlarge"), (16, 32)


@pytest.fixture(scope="module")
def html() -> str:
    return str(plan_explorer(MODELS, INSTANCES, CHIPS).data)


def words(html: str, slot: str, **chosen: int) -> str:
    script = BeautifulSoup(html, "html.parser").script
    assert script is not None
    page: dict[str, Any] = json.loads(script.get_text())
    entry = page["slots"][slot]
    values = [entry["words"][i] for i in entry["at"]] if "at" in entry else entry["words"]
    choices = list(product(*(range(page["axes"][axis]) for axis in entry["axes"])))
    found: str = dict(zip(choices, values, strict=True))[tuple(chosen[axis] for axis in entry["axes"])]
    return found


@pytest.mark.parametrize(("machine", "count"), [(0, 4), (1, 2)])
def test_layout_time_and_money_are_plan_s(html: str, machine: int, count: int) -> None:
    cluster = instance_cluster(INSTANCES[machine], count)
    best = plan("llama3-8b", cluster, SEQUENCES, sequence_length=SEQUENCE_LENGTH, top=1, tokens=TOKENS[2]).best[0]
    chosen = {"model": 0, "instance": machine, "chips": 1, "tokens": 2}
    assert best.run_days is not None
    assert best.run_usd is not None
    assert words(html, "layout", **chosen) == str(best.layout)
    assert words(html, "days", **chosen) == quantities.duration(best.run_days * 86_400)
    assert words(html, "cost", **chosen) == quantities.money(best.run_usd)
    assert words(html, "mfu", **chosen) == f"{best.mfu:.1%}"


def test_what_does_not_fit_says_so_with_the_planner_s_remedy(html: str) -> None:
    with pytest.raises(InfeasibleError) as refused:
        plan("llama3-405b", instance_cluster("p5.48xlarge", 2), SEQUENCES, sequence_length=SEQUENCE_LENGTH)
    chosen = {"model": 1, "instance": 0, "chips": 0, "tokens": 0}
    said = words(html, "layout", **chosen)
    assert said.startswith("nothing fits; ")
    assert said.removeprefix("nothing fits; ") in str(refused.value)
    assert words(html, "memory", **chosen) == "nothing fits"


def test_a_chip_without_published_runs_is_called_that(html: str) -> None:
    assert words(html, "shares", instance=0) == "set on published runs"
    assert "borrowed" in words(html, "shares", instance=1)
    assert "borrowed" not in unescape(BeautifulSoup(html, "html.parser").dl.get_text())  # type: ignore[union-attr]


def test_an_unknown_model_is_refused_by_name() -> None:
    with pytest.raises(CatalogError, match="llama9"):
        plan_explorer(("llama9",), INSTANCES[:1], CHIPS[:1])


@pytest.mark.parametrize("number", [0, 20])
def test_chips_that_fill_no_whole_instances_are_refused(number: int) -> None:
    with pytest.raises(ExplorerError, match=f"{number} chips .* p5.48xlarge, which has 8"):
        plan_explorer(MODELS[:1], INSTANCES[:1], (number,))
