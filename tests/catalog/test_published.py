"""The catalog agrees with every published hardware figure and price, and the published file obeys its schema."""

import json
from pathlib import Path

import pytest

from course_lib.catalog import (
    PublishedPoint,
    UnknownNameError,
    accelerator,
    instance,
    published_point,
    published_points,
)
from course_lib.catalog.published import check_published

CHIPS = [p for p in published_points("hardware") if "chip" in p.inputs]
CLOCKS = {
    "hw_gaudi2_bf16_from_clock": ("gaudi2", "peak_tflops"),
    "hw_gaudi3_bf16_from_clock": ("gaudi3", "peak_tflops"),
    "hw_gaudi3_bf16_whitepaper": ("gaudi3", "paper_tflops"),
    "hw_h100_bf16_from_clock": ("h100", "peak_tflops"),
    "hw_a100_bf16_from_clock": ("a100-40gb", "peak_tflops"),
}
WHOLE = {
    "hw_trn1_32xl_bf16": ("trn1.32xlarge", "bf16", 1e12),
    "hw_trn2_48xl_bf16": ("trn2.48xlarge", "bf16", 1e15),
    "hw_trn3_gen2_mxfp8": ("trn3-gen2-ultraserver", "mxfp8", 1e12),
}


def by_id(point: PublishedPoint) -> str:
    return point.id


@pytest.mark.parametrize("point", CHIPS, ids=by_id)
def test_peak_rate_of_a_chip_is_the_documented_one(point: PublishedPoint) -> None:
    """Oracle: the vendor's documentation, as recorded in published.json."""
    assert point.agrees(accelerator(str(point.inputs["chip"])).peak_flops(str(point.inputs["dtype"])) / 1e12)


@pytest.mark.parametrize(("id", "chip", "column"), [(i, c, f) for i, (c, f) in CLOCKS.items()])
def test_peak_rate_follows_from_clock_and_multipliers(id: str, chip: str, column: str) -> None:
    """Oracle: arithmetic on the clock: 2 FLOP x multipliers x engines x clock, and the published product."""
    point = published_point(id)
    units = point.inputs.get("mmes") or point.inputs["tensor_cores"]
    multipliers = point.inputs.get("macs") or point.inputs["fma"]
    from_clock = 2 * float(point.inputs["clock_mhz"]) * 1e6 * float(units) * float(multipliers) / 1e12
    assert point.agrees(from_clock)
    assert point.agrees(getattr(accelerator(chip), column)["bf16"])


@pytest.mark.parametrize(("id", "machine", "dtype", "unit"), [(i, *w) for i, w in WHOLE.items()])
def test_peak_rate_of_a_whole_machine_is_chips_times_rate(id: str, machine: str, dtype: str, unit: float) -> None:
    """Oracle: the machine's total, printed separately in the Neuron documentation."""
    row = instance(machine)
    total = row.accelerators * row.accelerator_spec.peak_flops(dtype) / unit
    assert published_point(id).agrees(total)
    assert row.accelerators == published_point(id).inputs["chips"]


def test_every_hardware_point_is_checked_by_a_test_above() -> None:
    """Oracle: the file itself: a point added later must not go unchecked."""
    assert {p.id for p in published_points("hardware")} == {p.id for p in CHIPS} | set(CLOCKS) | set(WHOLE)


@pytest.mark.parametrize("point", published_points("price"), ids=by_id)
def test_on_demand_price_is_the_published_one(point: PublishedPoint) -> None:
    """Oracle: two other price collections than the one that prices.csv was read from."""
    price = instance(str(point.inputs["instance"])).usd_per_hour("on_demand", region=str(point.inputs["region"]))
    assert point.agrees(price)


def test_savings_at_list_price_are_the_derived_ones() -> None:
    """Oracle: the derived percentages in published.json."""
    trn2 = instance("trn2.48xlarge").usd_per_hour(region="us-east-2")
    trn1 = instance("trn1.32xlarge").usd_per_hour()
    saving = published_point("savings_trn2_vs_p5_now")
    assert saving.agrees(100 * (1 - trn2 / instance("p5.48xlarge").usd_per_hour()))
    saving = published_point("savings_trn1_32_vs_p4d_now")
    assert saving.agrees(100 * (1 - trn1 / instance("p4d.24xlarge").usd_per_hour()))


def test_the_published_file_obeys_its_schema_with_and_without_a_formula() -> None:
    """Oracle: the file has points of both kinds, at least 200 in all."""
    found = check_published()
    assert found.errors == ()
    assert len(found.rows) == len({row.id for _, row in found.rows}) >= 200
    assert {row.formula is None for _, row in found.rows} == {True, False}


GOOD = {"id": "a", "topic": "t", "inputs": {"n": 1}, "value": 2, "unit": "u", "tolerance": 0, "source": "s"}


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ([{**GOOD, "date": "2026-01-01", "tolerance": -1}], ["entry 'a'", "tolerance", "-1"]),
        ([GOOD], ["entry 'a'", "date", "required"]),
        ([{**GOOD, "date": "2026-01-01", "value": v} for v in (1, 2)], ["entry 'a'", "id", "duplicate"]),
        ([{**GOOD, "date": "2026-01-01", "inputs": [1]}], ["entry 'a'", "inputs", "[1]"]),
        ({}, ["not a list of objects"]),
        ([1], ["not a list of objects"]),
        ("{", ["not readable JSON"]),
    ],
    ids=["negative tolerance", "no date", "twice", "inputs as list", "an object", "a list of numbers", "not JSON"],
)
def test_a_wrong_point_is_named(tmp_path: Path, content: object, parts: list[str]) -> None:
    """Oracle: the literal mistake."""
    path = tmp_path / "published.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    (error,) = check_published(path).errors
    assert all(part in str(error) for part in [*parts, "published.json", "Remedy: "])


def test_an_unknown_point_or_topic_suggests_the_nearest() -> None:
    """Oracle: the names that were meant."""
    with pytest.raises(UnknownNameError, match="'zero_memory'"):
        published_points("zero_memroy")
    with pytest.raises(UnknownNameError, match=r"'price_p5\.48xlarge'"):
        published_point("price_p5.48xlarg")


def test_agreement_is_relative_to_the_published_value() -> None:
    """Oracle: 5 % of 200 is 10."""
    point = PublishedPoint(**{**GOOD, "date": "2026-01-01", "value": 200, "tolerance": 0.05})  # type: ignore[arg-type]
    assert [point.agrees(value) for value in (189.9, 190.0, 210.0, 210.1, -200.0)] == [False, True, True, False, False]
