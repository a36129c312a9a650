"""A wrong row yields one message with file, row, field, value, limit and remedy."""

from pathlib import Path

import pytest
from pydantic.dataclasses import dataclass

from course_lib.catalog.accelerators import Accelerator
from course_lib.catalog.errors import CatalogError
from course_lib.catalog.instances import Instance
from course_lib.catalog.loader import check_csv, load_csv, load_toml
from course_lib.catalog.prices import KEY, Price
from course_lib.catalog.schema import ROW, Date, Text

PRICE = {
    "instance": "p5.48xlarge",
    "region": "us-east-1",
    "purchase": "on_demand",
    "usd_per_hour": "55.04",
    "source": "a price list",
    "date": "2026-07-20",
    "note": "",
}


def price_file(folder: Path, *changes: dict[str, str]) -> Path:
    """A prices.csv with one row per dict of changes; line 1 is the header."""
    rows = [{**PRICE, **change} for change in changes]
    header = list(dict.fromkeys(key for row in rows for key in row))
    lines = [",".join(header)] + [",".join(row.get(key, "") for key in header) for row in rows]
    path = folder / "prices.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_row_that_all_wrong_rows_below_derive_from_is_accepted(tmp_path: Path) -> None:
    """Oracle: the literal row above; without this, the tests below could pass for the wrong reason."""
    (row,) = load_csv(price_file(tmp_path, {}), Price, key=KEY, references={"instance": {"p5.48xlarge"}})
    assert (row.instance, row.usd_per_hour, str(row.date)) == ("p5.48xlarge", 55.04, "2026-07-20")


@pytest.mark.parametrize(
    ("change", "field", "value", "limit", "remedy"),
    [
        pytest.param({"source": ""}, "source", "''", "required", "say where the fact was read", id="no source"),
        pytest.param({"source": "  "}, "source", "''", "required", "say where the fact was read", id="blank source"),
        pytest.param({"date": ""}, "date", "''", "required", "YYYY-MM-DD", id="no date"),
        pytest.param({"date": "20260720"}, "date", "'20260720'", "YYYY-MM-DD", "write the day", id="date as a number"),
        pytest.param({"date": "20/07/2026"}, "date", "'20/07/2026'", "YYYY-MM-DD", "write the day", id="other order"),
        pytest.param({"date": "2026-02-30"}, "date", "'2026-02-30'", "exists", "write the day", id="no such day"),
        pytest.param(
            {"usd_per_hour": "-1"}, "usd_per_hour", "'-1'", "greater than 0", "leave an unknown", id="negative"
        ),
        pytest.param({"usd_per_hour": "0"}, "usd_per_hour", "'0'", "greater than 0", "leave an unknown", id="free"),
        pytest.param({"usd_per_hour": "nan"}, "usd_per_hour", "'nan'", "finite", "fits the rule", id="not a number"),
        pytest.param({"usd_per_hour": "cheap"}, "usd_per_hour", "'cheap'", "valid number", "fits the rule", id="words"),
        pytest.param({"usd_per_hour": ""}, "note", "''", "say why", "fits the rule", id="unknown, unexplained"),
        pytest.param({"purchase": "rent"}, "purchase", "'rent'", "'spot'", "one of the values", id="other purchase"),
        pytest.param({"currency": "EUR"}, "currency", "'EUR'", "'USD'", "one of the values", id="other currency"),
        pytest.param({"prise": "1"}, "prise", "'1'", "does not know", "correct the spelling", id="unknown field"),
        pytest.param(
            {"instance": "p5.48xlarg"},
            "instance",
            "'p5.48xlarg'",
            "no instance",
            "'p5.48xlarge'",
            id="unknown instance",
        ),
    ],
)
def test_one_message_names_file_line_field_value_limit_and_remedy(
    tmp_path: Path, change: dict[str, str], field: str, value: str, limit: str, remedy: str
) -> None:
    """Oracle: the literal texts; the wrong row is the second of three, so it stands on line 3."""
    path = price_file(tmp_path, {"region": "us-east-2"}, change, {"region": "us-west-2"})
    with pytest.raises(CatalogError) as caught:
        load_csv(path, Price, key=KEY, references={"instance": {"p5.48xlarge"}})
    message = str(caught.value)
    for part in ("prices.csv, line 3,", f"field '{field}'", value, limit, "Remedy:", remedy):
        assert part in message
    assert "\n" not in message
    assert "more in this file" not in message


def test_a_duplicate_names_both_lines(tmp_path: Path) -> None:
    """Oracle: the two equal keys stand on lines 2 and 4."""
    path = price_file(tmp_path, {}, {"date": "2026-07-21"}, {"usd_per_hour": "1"})
    with pytest.raises(
        CatalogError, match=r"line 4.*p5\.48xlarge us-east-1 on_demand linux 2026-07-20.*duplicate of line 2"
    ):
        load_csv(path, Price, key=KEY)


def test_further_errors_are_counted_and_all_are_handed_back_by_the_checking_twin(tmp_path: Path) -> None:
    """Oracle: three mistakes were made."""
    path = price_file(tmp_path, {"usd_per_hour": "-1", "source": ""}, {"date": "soon"})
    with pytest.raises(CatalogError, match=r"\(2 more in this file"):
        load_csv(path, Price, key=KEY)
    found = check_csv(path, Price, key=KEY)
    assert len(found.errors) == 3
    assert found.rows == ()


def test_a_quoted_line_break_does_not_shift_the_line_numbers_of_what_follows(tmp_path: Path) -> None:
    """Oracle: the editor's line number; the first row spans lines 2 and 3."""
    path = tmp_path / "prices.csv"
    path.write_text(
        "instance,region,purchase,usd_per_hour,source,date,note\n"
        'p5.48xlarge,us-east-1,on_demand,1,list,2026-07-20,"two\nlines"\n'
        "p5.48xlarge,us-east-1,on_demand,-1,list,2026-07-21,\n"
    )
    (error,) = check_csv(path, Price, key=KEY).errors
    assert "line 4" in str(error)


@pytest.mark.parametrize(
    ("line", "limit"),
    [
        ("p5.48xlarge,us-east-1,on_demand", "has 3 cells where the header has 7"),
        ("p5.48xlarge,us-east-1,on_demand,1,list, with a comma,2026-07-20,", "has 8 cells where the header has 7"),
        ('"p5.48xlarge,us-east-1', "is not valid CSV"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, limit: str) -> None:
    """Oracle: counted by hand."""
    path = tmp_path / "prices.csv"
    path.write_text(f"{','.join(PRICE)}\n{line}\n")
    (error,) = check_csv(path, Price, key=KEY).errors
    assert "prices.csv, line " in str(error)
    assert limit in str(error)


CHIP = """
[h100]
title = "NVIDIA H100"
vendor = "NVIDIA"
peak_tflops = { bf16 = 989 }
memory = 80
memory_unit = "GB"
source = "a data sheet"
date = 2026-08-22
"""


def test_the_entry_that_all_wrong_entries_below_derive_from_is_accepted(tmp_path: Path) -> None:
    """Oracle: the literal entry above."""
    path = tmp_path / "accelerators.toml"
    path.write_text(CHIP)
    assert load_toml(path, Accelerator)["h100"].memory == 80


@pytest.mark.parametrize(
    ("old", "new", "where", "field", "value"),
    [
        pytest.param("memory = 80", "memory = -80", "entry 'h100'", "memory", "-80", id="negative memory"),
        pytest.param(
            'memory_unit = "GB"', 'memory_unit = "gb"', "entry 'h100'", "memory_unit", "'gb'", id="other unit"
        ),
        pytest.param("bf16 = 989", "bf61 = 989", "entry 'h100'", "peak_tflops.bf61", "'bf61'", id="unknown format"),
        pytest.param("bf16 = 989", "bf16 = 0", "entry 'h100'", "peak_tflops.bf16", "0", id="rate of zero"),
        pytest.param('source = "a data sheet"', 'source = ""', "entry 'h100'", "source", "''", id="empty source"),
        pytest.param('"a data sheet"', '"  "', "entry 'h100'", "source", "'  '", id="blank source"),
        pytest.param("2026-08-22", "2026-08-22T00:00:00", "entry 'h100'", "date", "22, 0, 0", id="midnight"),
        pytest.param("date = 2026-08-22", "", "entry 'h100'", "date", "''", id="no date"),
        pytest.param("date = 2026-08-22", "date = 2026-08-22T10:00:00", "entry 'h100'", "date", "10, 0", id="a time"),
        pytest.param("memory = 80", "memory = 80\nmemmory = 1", "entry 'h100'", "memmory", "1", id="unknown field"),
        pytest.param("[h100]", "stray = 1\n[h100]", "top level", "stray", "1", id="outside of an entry"),
        pytest.param("memory = 80", "memory = eighty", "line 6", "(syntax)", "memory = eighty", id="syntax"),
        pytest.param("[h100]", "[h100]\n[h100]", "line 3", "(syntax)", "[h100]", id="declared twice"),
    ],
)
def test_toml_messages_name_entry_field_and_value(
    tmp_path: Path, old: str, new: str, where: str, field: str, value: str
) -> None:
    """Oracle: the literal texts; syntax errors name the line, since no entry could be read."""
    assert old in CHIP
    path = tmp_path / "accelerators.toml"
    path.write_text(CHIP.replace(old, new))
    with pytest.raises(CatalogError) as caught:
        load_toml(path, Accelerator)
    for part in (f"accelerators.toml, {where}, field '{field}'", value, "Remedy: "):
        assert part in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["no file", "not UTF-8"])
def test_an_unreadable_file_is_named_without_the_folder_it_lies_in(tmp_path: Path, content: bytes | None) -> None:
    """Oracle: the message may be pasted into a public issue, so no path of the machine may stand in it."""
    path = tmp_path / "prices.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CatalogError, match=r"prices\.csv.*cannot be read.*Remedy") as caught:
        load_csv(path, Price, key=KEY)
    assert str(tmp_path) not in str(caught.value)


def test_an_empty_cell_falls_back_to_the_default_of_its_field(tmp_path: Path) -> None:
    """Oracle: Instance's defaults: network unknown, no notes."""
    path = tmp_path / "instances.csv"
    path.write_text(
        "name,provider,accelerator,accelerators,vcpus,memory_gib,network_gbit_per_s,source,date,notes\n"
        "x1.large,aws,h100,1,8,61,,a page,2026-01-01,\n"
    )
    (row,) = load_csv(path, Instance)
    assert (row.network_gbit_per_s, row.notes) == (None, "")


def test_any_frozen_pydantic_dataclass_can_be_a_row(tmp_path: Path) -> None:
    """Oracle: the row written below; other rooms of the course add tables of their own."""

    @dataclass(frozen=True, config=ROW)
    class Fact:
        name: Text
        source: Text
        date: Date

    path = tmp_path / "facts.toml"
    path.write_text('[a]\nsource = "s"\ndate = "2026-01-02"\n')
    assert load_toml(path, Fact)["a"].date.day == 2
