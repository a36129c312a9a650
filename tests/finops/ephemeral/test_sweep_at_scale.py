"""A sweep of many pages. Oracle: the least number of pages that hold everything, and tracemalloc's peak."""

import gc
import math
import tracemalloc
from datetime import timedelta
from itertools import islice

import pytest

from course_lib.finops.aws import living_instances, paging
from course_lib.finops.ephemeral import sweep

SIZES = {"us-east-1": 25, "eu-west-1": 10, "us-west-2": 3}  # reservations by region; moto pages by reservation
PAGE = 10


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(paging, "PAGE", PAGE)


def lease(account, hours):
    end = (account.now() + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"owner": "ada", "project": "bert", "expires-at": end}


def test_a_sweep_calls_no_more_than_the_pages_need(account, plain, states, small_pages):
    due = []
    for region, number in SIZES.items():
        for _ in range(number - 1):
            plain(lease(account, 9), region=region, count=2)
        due += plain(lease(account, 1), region=region, count=2)
    account.advance(timedelta(hours=2))
    account.calls.clear()
    found = sweep(account, regions=SIZES, apply=True)
    made = [call.operation for call in account.calls]
    least = sum(math.ceil(number / PAGE) for number in SIZES.values())
    assert made.count("DescribeInstances") == least == 5
    assert made.count("TerminateInstances") == len(SIZES)
    assert made.count("GetCallerIdentity") == 1
    assert len(made) == least + len(SIZES) + 1
    assert len(found.verdicts) == 2 * sum(SIZES.values())
    ends = states()
    assert sorted(one for one, state in ends.items() if state == "terminated") == sorted(due)


def peak(work):
    """The most memory that some work held at once, and what it returned."""
    gc.collect()
    tracemalloc.start()
    try:
        result = work()
        return tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_holds_a_page_and_the_verdicts_not_all_answers(account, plain, small_pages):
    for _ in range(6 * PAGE):
        plain(lease(account, 9), count=2)
    regions = ["us-east-1"]
    sweep(account, regions=regions)  # what is loaded once is loaded

    def count(iterator):
        return sum(1 for _ in iterator)

    page = 2 * PAGE
    two, _ = peak(lambda: count(islice(living_instances(account, "us-east-1"), 2 * page)))
    six, number = peak(lambda: count(living_instances(account, "us-east-1")))
    everything, kept = peak(lambda: list(living_instances(account, "us-east-1")))
    swept, found = peak(lambda: sweep(account, regions=regions))
    assert number == len(kept) == len(found.verdicts) == 6 * page
    assert six < 1.3 * two  # three times the pages, and no more memory
    assert everything > 1.8 * six  # as it would be with all answers in hand
    assert swept < six + 3000 * number  # bytes of a verdict
