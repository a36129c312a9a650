"""Prices beside those of instances. Oracle: the two figures of the source that the file names, read by hand."""

import datetime

from course_lib.catalog import service_prices


def test_every_price_is_the_sources_and_says_where_and_when_it_was_read():
    found = service_prices()
    assert {(row.item, row.unit, row.usd) for row in found} == {
        ("gp3", "GB-Mo", 0.08),
        ("public-ipv4", "Hrs", 0.005),
    }
    for row in found:
        assert row.source.startswith("https://")
        assert datetime.date(2026, 1, 1) <= row.date <= datetime.date(2026, 12, 31)
        assert row.region == "us-east-1"
