"""The explorers say what the library says. Oracle: run_cost, roofline and the catalog, called for the same choice."""

import json
import re
from html import unescape
from itertools import pairwise, product
from typing import Any

import pytest
from bs4 import BeautifulSoup

from book.kit import cost_explorer, quantities, roofline_explorer
from book.kit.cost_widget import COUNTS, INSTANCES, MODELS, TOKENS
from book.kit.explorer import Axis, Explorer, ExplorerError, Slot
from book.kit.roofline_widget import BATCHES, CHIPS, DTYPES, OPERATIONS
from course_lib import arithmetic, catalog


def document(html: str) -> dict[str, Any]:
    script = BeautifulSoup(html, "html.parser").script
    assert script is not None
    found: dict[str, Any] = json.loads(script.get_text())
    return found


def words(page: dict[str, Any], slot: str, **chosen: int) -> str:
    """Look a slot up as the page's script does, but by a dictionary of all choices instead of by position."""
    axes = page["slots"][slot]["axes"]
    choices = list(product(*(range(page["axes"][axis]) for axis in axes)))
    entry = page["slots"][slot]
    values = [entry["words"][i] for i in entry["at"]] if "at" in entry else entry["words"]
    table = dict(zip(choices, values, strict=True))
    found: str = table[tuple(chosen[axis] for axis in axes)]
    return found


@pytest.fixture(scope="module")
def cost() -> dict[str, Any]:
    return document(cost_explorer().data)


@pytest.fixture(scope="module")
def roof() -> dict[str, Any]:
    return document(roofline_explorer().data)


@pytest.mark.parametrize(
    ("model", "tokens", "instance", "count"),
    [
        ("llama3-8b", 1e11, "p5.48xlarge", 8),
        ("gpt3-175b", 3e11, "p4d.24xlarge", 128),
        ("mixtral-8x7b", 2e12, "trn2.48xlarge", 64),
    ],
)
def test_time_and_cost_are_run_cost_s(
    cost: dict[str, Any], model: str, tokens: float, instance: str, count: int
) -> None:
    chosen = {
        "model": MODELS.index(model),
        "tokens": TOKENS.index(tokens),
        "instance": INSTANCES.index(instance),
        "count": COUNTS.index(count),
        "purchase": 0,
    }
    run = arithmetic.run_cost(model, tokens, instance, instances=count)
    assert words(cost, "time", **chosen) == quantities.duration(run.seconds)
    assert words(cost, "cost", **chosen) == quantities.money(run.usd)
    assert words(cost, "hours", **chosen) == f"{run.instance_hours:,.4g}"


def test_a_chip_without_bf16_is_priced_in_fp16(cost: dict[str, Any]) -> None:
    chosen = {"model": MODELS.index("gpt2"), "tokens": 0, "instance": INSTANCES.index("p3dn.24xlarge"), "count": 0}
    run = arithmetic.run_cost("gpt2", TOKENS[0], "p3dn.24xlarge", dtype="fp16")
    assert words(cost, "time", **chosen) == quantities.duration(run.seconds)


def test_an_unknown_price_is_called_unknown_with_its_reason(cost: dict[str, Any]) -> None:
    chosen = {"model": 0, "tokens": 0, "instance": INSTANCES.index("trn3-gen2-ultraserver"), "purchase": 0}
    price = catalog.instance("trn3-gen2-ultraserver").price()
    assert price is not None
    assert price.usd_per_hour is None
    assert words(cost, "cost", **chosen) == "an unknown sum (no known price)"
    assert words(cost, "per_million", **chosen) == "unknown"
    assert price.note in words(cost, "price", **chosen)


def test_every_known_price_carries_its_place_and_day(cost: dict[str, Any]) -> None:
    entry = cost["slots"]["price"]
    known = [text for text in entry["words"] if not text.startswith("price unknown")]
    assert known
    assert all(re.match(r"\$[\d,.]+ per hour in [a-z0-9-]+ on \d{4}-\d\d-\d\d; source: ", text) for text in known)


@pytest.mark.parametrize(
    ("chip", "dtype", "batch"), [("h100", "bf16", 1), ("trainium2", "fp8", 64), ("v100-32gb", "fp16", 512)]
)
def test_the_roofline_s_words_are_roofline_s(roof: dict[str, Any], chip: str, dtype: str, batch: int) -> None:
    for number, (phase, name, _) in enumerate(OPERATIONS):
        chosen = {
            "chip": CHIPS.index(chip),
            "dtype": list(DTYPES).index(dtype),
            "operation": number,
            "batch": BATCHES.index(batch),
        }
        listed = arithmetic.transformer_operations(
            "llama3-8b", phase, batch=batch, sequence_length=2048, bytes_per_element=DTYPES[dtype]
        )
        intensity = next(each for each in listed if each.name == name).intensity_flops_per_byte
        point = arithmetic.roofline(chip, intensity, dtype)
        assert words(roof, "rate", **chosen) == f"at most {quantities.rate(point.attainable_flops_per_s)}"
        assert ("memory" in words(roof, "bound", **chosen)) == (point.bound == "memory")


def test_a_format_that_a_chip_lacks_has_no_roof_and_no_point(roof: dict[str, Any]) -> None:
    chosen = {"chip": CHIPS.index("v100-32gb"), "dtype": list(DTYPES).index("bf16"), "operation": 0, "batch": 0}
    assert words(roof, "rate", **chosen) == "no dense rate is published for it"
    assert words(roof, "peak", **chosen) == "not published for bf16; published: fp32, fp16"
    assert float(words(roof, "y", **chosen)) < 0
    assert words(roof, "roof", **chosen) == "M0 0"


def test_the_point_lies_on_the_roof_that_is_drawn(roof: dict[str, Any]) -> None:
    for batch in range(len(BATCHES)):
        chosen = {"chip": CHIPS.index("h100"), "dtype": list(DTYPES).index("bf16"), "operation": 0, "batch": batch}
        corners = [tuple(map(float, pair)) for pair in re.findall(r"([\d.]+) ([\d.]+)", words(roof, "roof", **chosen))]
        x, y = float(words(roof, "x", **chosen)), float(words(roof, "y", **chosen))
        (x0, y0), (x1, y1) = next(pair for pair in pairwise(corners) if pair[0][0] <= x <= pair[1][0])
        assert y == pytest.approx(y0 + (x - x0) / (x1 - x0) * (y1 - y0), abs=0.2)


@pytest.mark.parametrize("explorer", [cost_explorer, roofline_explorer])
def test_every_control_has_a_label_and_the_answer_is_announced(explorer: Any) -> None:
    soup = BeautifulSoup(explorer().data, "html.parser")
    assert all(select.find_parent("label").get_text(strip=True) for select in soup.select("select"))  # type: ignore[union-attr]
    answer = soup.select_one("[role=status][aria-live=polite]")
    assert answer is not None
    assert "{" not in answer.get_text()
    assert soup.noscript is not None


def test_the_page_s_script_holds_no_arithmetic_on_facts(request: pytest.FixtureRequest) -> None:
    """The oracle is the source: look-up by position multiplies and adds indices, and nothing else is computed."""
    source = (request.config.rootpath / "book/_static/explorers.js").read_text(encoding="utf-8")
    assert re.findall(r"Math\.|parseFloat|Number\(", source) == []
    assert re.findall(r"\w+ [*/] \w+", re.sub(r"//.*", "", source)) == ["sum * sizes"]


def test_an_axis_without_its_default_is_refused() -> None:
    with pytest.raises(ExplorerError, match="has no option 3"):
        Explorer("x", "X", (Axis("n", "N", ((1, "one"),), 3),), (), "{n}").html()


def test_a_slot_on_an_unknown_axis_is_refused() -> None:
    axis = Axis("n", "N", ((1, "one"),), 1)
    with pytest.raises(ExplorerError, match="depends on 'm'"):
        Explorer("x", "X", (axis,), (Slot("s", ("m",), str),), "{s}").html()


def test_packed_words_unpack_to_what_was_computed() -> None:
    axis = Axis("n", "N", tuple((i, str(i)) for i in range(10)), 0)
    page = document(
        Explorer("x", "X", (axis,), (Slot("odd", ("n",), lambda n: "odd" if n % 2 else "even"),), "{odd}").html()
    )
    assert "at" in page["slots"]["odd"]
    assert [words(page, "odd", n=n) for n in range(10)] == ["even", "odd"] * 5


def test_words_that_look_like_markup_stay_words() -> None:
    axis = Axis("n", "N", ((1, "<b>one</b>"),), 1)
    html = Explorer("x", "X", (axis,), (Slot("s", ("n",), lambda n: "</script>"),), "{n} {s}").html()
    assert html.count("</script>") == 1
    assert "<b>" not in html
    assert "<b>one</b>" in unescape(html)
