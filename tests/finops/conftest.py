"""One practice account for the whole session, emptied and set back to its first moment before each test."""

from datetime import UTC, datetime

import pytest

from course_lib.finops.cloud import PracticeAccount

START = datetime(2026, 12, 1, 8, tzinfo=UTC)


@pytest.fixture(scope="session")
def running():
    with PracticeAccount(start=START) as account:
        yield account


@pytest.fixture
def account(running):
    running.reset(START)
    running.heal()
    return running
