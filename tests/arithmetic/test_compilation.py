"""Compilations and their price. Oracles: enumeration of all outcomes, and queues emptied by hand."""

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.arithmetic import compile_bill, expected_shapes, longest_of

SHARES = st.dictionaries(st.integers(1, 9), st.integers(1, 5), min_size=1, max_size=4)


@given(shares=SHARES, batch=st.integers(1, 4))
def test_the_longest_of_a_batch_is_distributed_as_in_all_batches(shares, batch):
    """Oracle: every possible batch, with its probability as a fraction."""
    total = sum(shares.values())
    wanted = dict.fromkeys(shares, Fraction(0))
    for lengths in product(shares, repeat=batch):
        probability = Fraction(1)
        for length in lengths:
            probability *= Fraction(shares[length], total)
        wanted[max(lengths)] += probability
    assert longest_of(shares, batch) == pytest.approx({length: float(p) for length, p in wanted.items()})


@given(shares=SHARES, steps=st.integers(1, 4))
def test_the_expected_number_of_shapes_is_the_mean_over_all_runs(shares, steps):
    """Oracle: every possible run, its different shapes counted with a set."""
    total = sum(shares.values())
    probabilities = {length: share / total for length, share in shares.items()}
    mean = 0.0
    for run in product(probabilities, repeat=steps):
        probability = 1.0
        for length in run:
            probability *= probabilities[length]
        mean += probability * len(set(run))
    assert expected_shapes(probabilities, steps) == pytest.approx(mean)


@given(graphs=st.integers(0, 20), workers=st.integers(1, 6))
def test_workers_empty_the_queue_in_rounds(graphs, workers):
    """Oracle: a queue from which each round takes as many graphs as there are workers."""
    left, rounds = graphs, 0
    while left > 0:
        left, rounds = left - workers, rounds + 1
    assert compile_bill(graphs, 60, 0, workers=workers).seconds == 60 * rounds


def test_every_waiting_instance_is_billed():
    """Oracle: by hand. Ten graphs of six minutes are one hour; four instances at 20 dollars wait for it."""
    bill = compile_bill(10, 360, 20, instances=4)
    assert (bill.seconds, bill.instance_hours, bill.usd) == (3600, 4, 80)
    assert compile_bill(0, 360, 20, instances=4).usd == 0
