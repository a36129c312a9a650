"""The shipped images. Oracle: counts of each digit published by UCI, and the hash of scikit-learn's file."""

import gzip
import hashlib

import pytest
import torch

from course_lib.moe import MoEError
from course_lib.moe.multimodal import load_digits
from course_lib.moe.multimodal.digits import FILE

# archive.ics.uci.edu/dataset/80, "Class: No of examples in testing set"
PUBLISHED = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_images_are_ucis_test_set():
    """Oracle: UCI's table of how often each digit occurs, in both splits together."""
    labels = torch.cat([load_digits(split).labels for split in ("train", "test")])
    assert labels.bincount().tolist() == PUBLISHED


def test_pixels_are_the_files_rows():
    """Oracle: the file's own text, split at commas by Python."""
    with gzip.open(FILE, "rt") as file:
        lines = [[int(value) for value in line.split(",")] for line in file]
    train, test = load_digits("train"), load_digits("test")
    assert len(train) + len(test) == len(lines) == 1797
    for row, digits, number in ((lines[0], train, 0), (lines[-1], test, len(test) - 1), (lines[len(train)], test, 0)):
        assert (digits.pixels[number, 0] * 16).tolist() == [row[8 * i : 8 * i + 8] for i in range(8)]
        assert int(digits.labels[number]) == row[-1]
    assert float(train.pixels.min()) == 0
    assert float(train.pixels.max()) == 1


def test_the_data_is_named_with_source_license_and_hash():
    """Oracle: the folder's listing and SHA-256 of the file."""
    note = (FILE.parent / "README.md").read_text()
    assert {path.name for path in FILE.parent.iterdir()} == {"README.md", FILE.name}
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() in note
    assert "CC BY 4.0" in note
    assert FILE.stat().st_size < 100_000


def test_an_unknown_split_is_refused():
    with pytest.raises(MoEError, match=r"split='validation' is not known\..*use one of train, test"):
        load_digits("validation")
