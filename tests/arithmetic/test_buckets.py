"""Buckets. Oracle: every choice of buckets tried one by one, and padding done with plain lists."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.arithmetic import ArithmeticInputError, best_buckets, padding_waste, powers_of_two

COUNTS = st.dictionaries(st.integers(1, 40), st.integers(1, 9), min_size=1, max_size=8)
WORK = {"tokens": float, "with attention": lambda length: length + length**2 / 16}


def padded_by_hand(counts, buckets, work):
    """Work after each input has gone into the shortest bucket that holds it."""
    inputs = [length for length, count in counts.items() for _ in range(count)]
    return sum(work(min(bucket for bucket in buckets if bucket >= length)) for length in inputs)


@given(counts=COUNTS, buckets=st.integers(1, 5), work=st.sampled_from(sorted(WORK)))
def test_no_choice_of_buckets_needs_less_work_than_the_best_one(counts, buckets, work):
    """Oracle: all subsets of 1..longest that hold the longest input, up to the allowed number, on short ranges."""
    counts = {min(length, 12): count for length, count in counts.items()}
    plan = best_buckets(counts, buckets, work=WORK[work])
    longest = max(counts)
    choices = (
        (*shorter, longest)
        for size in range(min(buckets, longest))
        for shorter in combinations(range(1, longest), size)
    )
    assert plan.padded_work == pytest.approx(min(padded_by_hand(counts, choice, WORK[work]) for choice in choices))
    assert len(plan.buckets) <= buckets


@given(counts=COUNTS, buckets=st.integers(1, 4), multiple=st.sampled_from([4, 8]))
def test_the_best_multiples_are_the_best_of_all_multiples(counts, buckets, multiple):
    """Oracle: all subsets of the multiples up to the first that holds the longest input."""
    plan = best_buckets(counts, buckets, multiple_of=multiple)
    top = -(-max(counts) // multiple) * multiple
    others = range(multiple, top, multiple)
    choices = ((*some, top) for size in range(buckets) for some in combinations(others, size))
    assert plan.padded_work == min(padded_by_hand(counts, choice, float) for choice in choices)
    assert all(bucket % multiple == 0 for bucket in plan.buckets)


@given(counts=COUNTS)
def test_a_bucket_for_each_length_wastes_nothing_and_another_bucket_never_hurts(counts):
    """Oracle: monotony. More buckets can copy any choice of fewer."""
    wastes = [best_buckets(counts, k).waste for k in range(1, len(counts) + 2)]
    assert wastes == sorted(wastes, reverse=True)
    assert wastes[len(counts) - 1] == 0
    assert len(best_buckets(counts, 99).buckets) == len(counts)


@given(counts=COUNTS, extra=st.integers(0, 30))
def test_waste_is_the_share_of_padding_in_what_is_computed(counts, extra):
    """Oracle: lists padded with zeros, counted."""
    plan = padding_waste(counts, [20 + extra, 40 + extra])
    rows = [[1] * length for length, count in counts.items() for _ in range(count)]
    padded = [row + [0] * (plan.bucket_for(len(row)) - len(row)) for row in rows]
    zeros, all_of_them = (sum(row.count(0) for row in padded), sum(map(len, padded)))
    assert plan.waste == pytest.approx(zeros / all_of_them)
    assert plan.padded_work == all_of_them


def test_shares_give_the_same_buckets_as_counts():
    """Oracle: the same distribution, scaled."""
    counts = {100: 60, 130: 20, 700: 15, 2000: 5}
    shares = {length: count / 100 for length, count in counts.items()}
    assert best_buckets(shares, 2).buckets == best_buckets(counts, 2).buckets
    assert best_buckets(shares, 2).waste == pytest.approx(best_buckets(counts, 2).waste)


def test_powers_of_two_are_those_that_nxd_inference_documents():
    """Oracle: NxD Inference feature guide, "powers of two between 128 and the max context length"."""
    assert powers_of_two(2048) == (128, 256, 512, 1024, 2048)
    assert powers_of_two(1000) == (128, 256, 512, 1000)
    assert powers_of_two(100) == (100,)


def test_an_input_goes_into_the_first_bucket_that_holds_it():
    """Oracle: by hand."""
    plan = padding_waste({5: 1, 9: 1}, [16, 8])
    assert [plan.bucket_for(length) for length in (1, 8, 9, 16)] == [8, 8, 16, 16]
    with pytest.raises(ArithmeticInputError, match="length=17 must be at most the longest bucket, 16"):
        plan.bucket_for(17)
