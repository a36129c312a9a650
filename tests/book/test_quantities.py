"""Quantities read as a person would write them. Oracle: values worked out by hand."""

import pytest

from book.kit import quantities


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "0.50 seconds"),
        (59, "59.0 seconds"),
        (90, "1.50 minutes"),
        (7200, "2.00 hours"),
        (47 * 3600, "47.0 hours"),
        (48 * 3600, "2.00 days"),
        (200 * 86400, "200 days"),
        (2 * 365.25 * 86400, "2.00 years"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert quantities.duration(seconds) == text


@pytest.mark.parametrize(
    ("usd", "text"),
    [(0.5, "$0.50"), (99.99, "$99.99"), (1234.4, "$1,234"), (12_345_678, "$12.3 million"), (2.5e9, "$2.50 billion")],
)
def test_money(usd: float, text: str) -> None:
    assert quantities.money(usd) == text


@pytest.mark.parametrize(
    ("number", "text"), [(15e12, "15 trillion"), (3e11, "300 billion"), (8, "8"), (1.5e6, "1.5 million")]
)
def test_counts(number: float, text: str) -> None:
    assert quantities.count(number) == text


def test_rates_and_sizes() -> None:
    assert quantities.rate(989e12) == "989 TFLOP/s"
    assert quantities.rate(0.00123e12) == "0.00123 TFLOP/s"
    assert quantities.size(80e9) == "80.0 GB"
