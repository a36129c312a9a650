"""`check_catalog` reads every file and reports every error, not only the first."""

import shutil
from pathlib import Path

import pytest

from course_lib.catalog import check_catalog
from course_lib.catalog.loader import DATA


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "data"
    shutil.copytree(DATA, copy)
    return copy


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_catalog_that_is_shipped_has_no_error(folder: Path) -> None:
    """Oracle: the empty list, for the installed folder and for a copy."""
    assert check_catalog() == []
    assert check_catalog(folder) == []


def test_errors_in_all_files_are_reported_at_once(folder: Path) -> None:
    """Oracle: one mistake was made in each of the six files."""
    edit(folder / "accelerators.toml", 'vendor = "NVIDIA"', 'vendor = ""')
    edit(folder / "instances.csv", "p3.8xlarge,aws,v100-16gb,4", "p3.8xlarge,aws,v100-16gb,0")
    edit(folder / "prices.csv", "on_demand,3.06", "on_demand,-3.06")
    edit(folder / "claims.csv", ",agrees,", ",right,")
    edit(folder / "models.toml", "layers = ", "leyers = ")
    edit(folder / "published.json", '"tolerance": ', '"tolerance": -')
    errors = check_catalog(folder)
    for file in ("accelerators.toml", "instances.csv", "prices.csv", "claims.csv", "models.toml", "published.json"):
        assert sum(error.startswith(file) for error in errors) >= 1, file
    assert all("Remedy: " in error for error in errors)


def test_a_broken_row_does_not_make_those_that_refer_to_it_errors(folder: Path) -> None:
    """Oracle: one mistake, one error, although instances refer to the chip and prices to those instances."""
    edit(folder / "accelerators.toml", 'vendor = "NVIDIA"', 'vendor = ""')
    (error,) = check_catalog(folder)
    assert "'v100-16gb'" in error


@pytest.mark.parametrize(
    ("file", "old", "new", "parts"),
    [
        ("instances.csv", ",v100-32gb,", ",v100-23gb,", ["line 5", "accelerator", "'v100-23gb'", "'v100-32gb'"]),
        ("prices.csv", "p3.8xlarge,", "p3.9xlarge,", ["line 3", "instance", "'p3.9xlarge'", "'p3.8xlarge'"]),
    ],
)
def test_a_dangling_reference_suggests_the_nearest_row(
    folder: Path, file: str, old: str, new: str, parts: list[str]
) -> None:
    """Oracle: the name before it was changed, and its line in the file."""
    edit(folder / file, old, new)
    errors = [error for error in check_catalog(folder) if error.startswith(file)]
    assert len(errors) == 1
    assert all(part in errors[0] for part in parts)


def test_two_chips_that_share_an_alias_are_reported(folder: Path) -> None:
    """Oracle: `H100 SXM` is made to name two chips."""
    edit(folder / "accelerators.toml", '"H200 SXM"', '"h100-sxm"')
    (error,) = check_catalog(folder)
    assert "'h200'" in error
    assert "'h100'" in error


def test_an_instance_without_any_on_demand_row_is_reported(folder: Path) -> None:
    """Oracle: the only price row of dl1.24xlarge on demand is removed."""
    path = folder / "prices.csv"
    rows = [line for line in path.read_text().splitlines() if not line.startswith("dl1.24xlarge,us-east-1,on_demand")]
    path.write_text("\n".join(rows) + "\n")
    (error,) = check_catalog(folder)
    assert "'dl1.24xlarge' has no on_demand row" in error


def test_a_missing_folder_yields_one_error_per_file(tmp_path: Path) -> None:
    """Oracle: nine files are missing."""
    errors = check_catalog(tmp_path)
    assert len(errors) == 10
    assert all(str(tmp_path) not in error for error in errors)
