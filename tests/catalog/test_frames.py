"""The catalog as pandas frames: every row has a source and a date, and nothing heavy loads before it is asked for."""

import datetime
import subprocess
import sys

import pytest

from course_lib import catalog

FRAMES = ["accelerators", "instances", "models", "networks", "prices", "claims", "published"]


@pytest.mark.parametrize("name", FRAMES)
def test_every_row_of_every_frame_has_a_source_and_a_date(name: str) -> None:
    """Oracle: the rule of the course: a fact that nobody can trace is not a fact."""
    frame = getattr(catalog, name)()
    assert len(frame) > 10
    assert all(isinstance(text, str) and len(text) >= 7 for text in frame["source"])
    assert all(isinstance(day, datetime.date) for day in frame["date"])


def test_the_instance_frame_carries_the_price_that_the_look_up_returns() -> None:
    """Oracle: `Instance.price`, row by row."""
    frame = catalog.instances().set_index("name")
    for name, row in frame.iterrows():
        price = catalog.instance(str(name)).price()
        assert price is not None
        if price.usd_per_hour is None:
            assert row["usd_per_hour"] != row["usd_per_hour"]  # nan
            assert row["price_note"] == price.note != ""
        else:
            assert (row["usd_per_hour"], row["price_region"]) == (price.usd_per_hour, price.region)


def test_the_accelerator_frame_spreads_the_rates_into_columns() -> None:
    """Oracle: the rows themselves, for one chip with and one without BF16."""
    frame = catalog.accelerators().set_index("name")
    assert frame.loc["h100", "bf16_tflops"] == 989
    assert frame["bf16_tflops"].isna()["v100-16gb"]
    assert frame.loc["gaudi3", "paper_bf16_tflops"] == 1835


def test_the_claims_frame_has_the_columns_that_the_chapter_shows() -> None:
    """Oracle: the list of columns; `official` is a number beside the claimed one."""
    columns = ["item", "quantity", "unit", "claimed", "official", "verdict", "why", "source", "date"]
    frame = catalog.claims()
    assert list(frame.columns) == columns
    row = frame[(frame["item"] == "Trainium1") & (frame["quantity"] == "FP32 peak")].iloc[0]
    assert (row["claimed"], row["official"]) == (190, 47.5)
    assert "Neuron docs" in row["source"]
    assert frame["official"].isna().any()


def test_importing_and_looking_up_loads_neither_torch_nor_pandas_nor_numpy() -> None:
    """Oracle: sys.modules of a fresh interpreter."""
    code = (
        "import sys, course_lib.catalog as c; c.instance('p5.48xlarge').usd_per_hour(); c.model('llama3-8b');"
        "c.published_points(); print(sorted({'torch','pandas','numpy','boto3','ray'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_importing_reads_no_data_file() -> None:
    """Oracle: the interpreter's own audit of opened files."""
    code = (
        "import sys; seen = []\n"
        "sys.addaudithook(lambda event, args: seen.append(str(args[0])) if event == 'open' else None)\n"
        "import course_lib.catalog\n"
        "print([f for f in seen if 'catalog' in f and f.endswith(('.toml', '.csv', '.json'))])\n"
        "course_lib.catalog.accelerator('h100')\n"
        "print(sum(f.endswith('accelerators.toml') for f in seen))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["[]", "1"]


def test_the_public_door_hands_on_what_it_lists() -> None:
    """Oracle: `__all__`."""
    assert sorted(catalog.__all__) == list(catalog.__all__)
    assert all(hasattr(catalog, name) for name in catalog.__all__)
