"""Bytes of expert parallelism. Oracle: NumPy, which counts the rows of a routing one by one."""

import numpy as np
import pytest

from course_lib.arithmetic import ArithmeticInputError, collective_time, expert_exchange, expert_exchange_of

SHAPE = {"tokens": 4096, "experts_per_token": 2, "hidden_size": 4096, "experts": 8}  # Mixtral 8x7B, one sequence


def rows_between(owner_of_token, owner_of_expert, ranks):
    """Oracle: one row at a time."""
    rows = np.zeros((ranks, ranks), dtype=int)
    for source, target in zip(owner_of_token, owner_of_expert, strict=True):
        rows[source, target] += 1
    return rows


@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
def test_balanced_load_sends_all_rows_but_one_part_in_p(ranks):
    """Oracle: the same all-to-all by Thakur et al.'s pairwise algorithm."""
    sent = expert_exchange(**SHAPE, ranks=ranks)
    whole = SHAPE["tokens"] * SHAPE["experts_per_token"] * SHAPE["hidden_size"] * 2
    pairwise = collective_time("all_to_all", whole, ranks, alpha_seconds=0, beta_seconds_per_byte=0)
    assert sent.dispatch_bytes == sent.combine_bytes == pairwise.bytes_sent_per_rank
    assert sent.backward_bytes == 2 * sent.dispatch_bytes
    assert sent.forward_bytes == sent.backward_bytes + 8 * 8 * (ranks - 1) / ranks


def test_a_routing_as_it_is_sends_what_is_counted_row_by_row():
    rng = np.random.default_rng(0)
    ranks, tokens, hidden = 4, 200, 16
    owners = rng.integers(ranks, size=tokens)
    experts = rng.choice(ranks, p=[0.7, 0.3, 0, 0], size=tokens)
    sent = expert_exchange_of(rows_between(owners, experts, ranks).tolist(), hidden_size=hidden, experts=8)
    for rank in range(ranks):
        leaves = ((owners == rank) & (experts != rank)).sum() * hidden * 2
        comes = ((owners != rank) & (experts == rank)).sum() * hidden * 2
        assert (sent[rank].dispatch_bytes, sent[rank].combine_bytes) == (leaves, comes)


def test_balanced_rows_give_the_balanced_formula():
    ranks = 4
    rows = [[SHAPE["tokens"] * 2 // ranks] * ranks] * ranks
    assert expert_exchange_of(rows, hidden_size=4096, experts=8) == [expert_exchange(**SHAPE, ranks=ranks)] * ranks


def test_a_capacity_sends_blocks_full_or_not_and_no_counts():
    capacity = SHAPE["tokens"] * SHAPE["experts_per_token"] // SHAPE["experts"]
    exact, wide = (expert_exchange(**SHAPE, ranks=4, capacity=rows) for rows in (capacity, 2 * capacity))
    assert exact.dispatch_bytes == expert_exchange(**SHAPE, ranks=4).dispatch_bytes
    assert wide.dispatch_bytes == 2 * exact.dispatch_bytes
    assert exact.count_bytes == 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tokens": -1}, "tokens=-1"),
        ({"ranks": 3}, "experts=8 can't be shared equally by 3 ranks"),
        ({"ranks": 2, "capacity": 0}, "capacity=0"),
        ({"bytes_per_element": 0}, "bytes_per_element=0"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_numbers_out_of_range_are_refused(changes, told):
    with pytest.raises(ArithmeticInputError, match=told):
        expert_exchange(**({"ranks": 2} | SHAPE | changes))


@pytest.mark.parametrize("rows", [[[1, 2]], [[1, -1], [0, 0]], [[0.5]]], ids=["no square", "negative", "half a row"])
def test_rows_that_are_no_square_of_counts_are_refused(rows):
    with pytest.raises(ArithmeticInputError, match="Remedy"):
        expert_exchange_of(rows, hidden_size=4, experts=2)
