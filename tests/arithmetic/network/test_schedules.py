"""Every schedule computes its collective, and costs what the textbook says."""

import math
from collections import Counter

import pytest

from course_lib.arithmetic.collectives import ALGORITHMS, ArithmeticInputError, collective_time
from course_lib.arithmetic.network import Switch, algorithms, price, schedule, verify

from .play import wrong_ranks

OPS = ("all_reduce", "all_gather", "reduce_scatter", "broadcast", "all_to_all")
EVERY = [(op, algorithm) for op in OPS for algorithm in algorithms(op)]
POWERS_ONLY = {("all_gather", "recursive_doubling"), ("reduce_scatter", "recursive_doubling")}
SEGMENTED = ("tree", "double_tree", "chain")
RANKS = [*range(1, 18), 32]


def made(op, algorithm, p, **options):
    if algorithm in SEGMENTED:
        options.setdefault("segments", 3)
    return schedule(op, p, algorithm, **options)


def ranks_for(op, algorithm):
    return [p for p in RANKS if (op, algorithm) not in POWERS_ONLY or not p & (p - 1)]


@pytest.mark.parametrize(("op", "algorithm"), EVERY)
def test_a_schedule_computes_its_collective_for_1_to_17_and_32_ranks(op, algorithm):
    """Oracle: NumPy's sums and copies of what the ranks were given."""
    assert {p: wrong_ranks(made(op, algorithm, p)) for p in ranks_for(op, algorithm)} == {
        p: [] for p in ranks_for(op, algorithm)
    }


@pytest.mark.parametrize(("op", "algorithm"), EVERY)
def test_no_contribution_is_added_twice_or_sent_before_it_is_there(op, algorithm):
    """Oracle: sets of contributions, whose union must be disjoint."""
    for p in ranks_for(op, algorithm):
        verify(made(op, algorithm, p))


@pytest.mark.parametrize(("op", "algorithm"), [(op, name) for op in ALGORITHMS for name in ALGORITHMS[op]])
@pytest.mark.parametrize("p", [1, 2, 4, 8, 16, 32])
def test_steps_bytes_and_seconds_are_those_of_the_formula(op, algorithm, p):
    """Oracle: Thakur et al. 2005, as `collective_time` has it."""
    ours = schedule(op, p, algorithm)
    theirs = collective_time(op, 1e6, p, alpha_seconds=1e-5, beta_seconds_per_byte=1e-10, algorithm=algorithm)
    assert ours.steps == theirs.steps
    assert max(ours.bytes_sent(1e6)) == pytest.approx(theirs.bytes_sent_per_rank, rel=1e-12)
    simulated = price(ours, Switch(p, 1e10, 1e-5)).at(1e6)
    assert simulated.seconds == pytest.approx(theirs.seconds, rel=1e-12)
    assert simulated.latency_seconds == pytest.approx(theirs.latency_seconds, rel=1e-12)


@pytest.mark.parametrize("algorithm", ["ring", "pairwise", "binomial", "scatter_allgather"])
@pytest.mark.parametrize("p", [3, 5, 6, 7, 12, 17])
def test_the_formula_holds_where_ranks_are_no_power_of_two(algorithm, p):
    """Oracle: `collective_time` for the algorithms that take any number of ranks."""
    for op in OPS:
        if algorithm in ALGORITHMS[op]:
            theirs = collective_time(op, 1e6, p, alpha_seconds=1e-5, beta_seconds_per_byte=1e-10, algorithm=algorithm)
            ours = price(schedule(op, p, algorithm), Switch(p, 1e10, 1e-5)).at(1e6)
            assert (ours.steps, ours.seconds) == (theirs.steps, pytest.approx(theirs.seconds, rel=1e-12))


@pytest.mark.parametrize("algorithm", ["recursive_doubling", "rabenseifner"])
@pytest.mark.parametrize("p", [3, 5, 7, 12, 17])
def test_ranks_beyond_a_power_of_two_cost_two_more_steps(algorithm, p):
    """Oracle: Thakur et al. 2005, section 4.5: fold in before, hand back after."""
    below = 1 << (p.bit_length() - 1)
    assert schedule("all_reduce", p, algorithm).steps == schedule("all_reduce", below, algorithm).steps + 2


@pytest.mark.parametrize("p", [2, 3, 5, 8, 13, 16])
def test_bruck_takes_the_logarithm_of_the_ranks(p):
    """Oracle: Bruck et al. 1997: ceil(lg p) rounds; at a power of two, lg p / 2 buffers for an all-to-all."""
    rounds = math.ceil(math.log2(p))
    assert [schedule(op, p, "bruck").steps for op in ("all_gather", "reduce_scatter", "all_to_all")] == [rounds] * 3
    assert max(schedule("all_gather", p, "bruck").bytes_sent(p)) == pytest.approx(p - 1)
    if not p & (p - 1):
        assert max(schedule("all_to_all", p, "bruck").bytes_sent(1e6)) == pytest.approx(rounds / 2 * 1e6)


@pytest.mark.parametrize(("op", "algorithm"), EVERY)
def test_rounds_of_a_phase_are_alike(op, algorithm):
    """Oracle: the pairs and chunk counts of each round; the simulator prices one and multiplies."""
    for p in ranks_for(op, algorithm):
        for phase in made(op, algorithm, p).phases:
            rounds = {
                frozenset(Counter((m.source, m.target, len(m.chunks)) for m in phase.messages(number)).items())
                for number in range(phase.rounds)
            }
            assert len(rounds) <= 1


@pytest.mark.parametrize(("op", "algorithm"), EVERY)
def test_textbook_algorithms_use_one_port(op, algorithm):
    """Oracle: the one-port model of Thakur et al.; direct and bidirectional ones are defined by using more."""
    many = {"direct": lambda p: p - 1, "bidirectional_ring": lambda p: 1 if p == 2 else 2}
    for p in ranks_for(op, algorithm)[1:]:
        assert made(op, algorithm, p).ports() == many.get(algorithm, lambda _: 1)(p)


@pytest.mark.parametrize(("op", "algorithm"), EVERY)
def test_a_schedule_may_be_placed_on_other_ranks(op, algorithm):
    """Oracle: NumPy, after a permutation; a broadcast begins where its root went."""
    order = [5, 2, 7, 0, 3, 6, 1, 4]
    placed = made(op, algorithm, 8).placed(order)
    assert wrong_ranks(placed) == []
    assert placed.root == (5 if op == "broadcast" else 0)


@pytest.mark.parametrize("algorithm", algorithms("broadcast"))
@pytest.mark.parametrize("root", [1, 4])
def test_a_broadcast_starts_at_any_root(algorithm, root):
    """Oracle: NumPy copies of the root's array."""
    ours = made("broadcast", algorithm, 5, root=root)
    assert ours.root == root
    assert wrong_ranks(ours) == []


def test_a_ring_sends_to_the_next_rank_only():
    """Oracle: the ring itself."""
    pairs = {(m.source, m.target) for messages in schedule("all_reduce", 6, "ring").rounds() for m in messages}
    assert pairs == {(rank, (rank + 1) % 6) for rank in range(6)}


@pytest.mark.parametrize(("op", "algorithm"), EVERY)
def test_what_ranks_send_and_receive_adds_up_to_the_rounds(op, algorithm):
    """Oracle: the rounds themselves, taken apart by sender and by receiver."""
    ours = made(op, algorithm, 8)
    whole = [sorted(messages) for messages in ours.rounds()]
    by_rank = [list(ours.rounds_of(rank)) for rank in range(8)]
    for side in (0, 1):
        parts = [sorted(m for rank in by_rank for m in rank[number][side]) for number in range(ours.steps)]
        assert parts == whole


@pytest.mark.parametrize(
    ("arguments", "options", "says"),
    [
        (("all_reduce", 8, "rings"), {}, "'rabenseifner'"),
        (("reduce", 8), {}, "'all_reduce'"),
        (("all_gather", 6, "recursive_doubling"), {}, "power of two"),
        (("reduce_scatter", 12, "recursive_doubling"), {}, "'bruck'"),
        (("all_reduce", 0), {}, "at least 1"),
        (("all_reduce", 2.0), {}, "whole number"),
        (("broadcast", 4), {"root": 4}, "no rank of 4"),
        (("all_reduce", 4), {"root": 1}, "has no root"),
        (("all_reduce", 4, "ring"), {"segments": 2}, "double_tree"),
        (("all_reduce", 4, "tree"), {"segments": 0}, "segments=0"),
    ],
)
def test_what_cannot_be_scheduled_is_refused(arguments, options, says):
    """Oracle: the value and the way out stand in the message."""
    with pytest.raises(ArithmeticInputError, match="Remedy") as raised:
        schedule(*arguments, **options)
    assert says in str(raised.value)


def test_a_rank_or_an_order_that_is_none_is_refused():
    """Oracle: 4 ranks are numbered 0 to 3."""
    ours = schedule("all_reduce", 4)
    with pytest.raises(ArithmeticInputError, match="rank=4"):
        list(ours.rounds_of(4))
    for order in ([0, 1, 2], [0, 1, 2, 2], [1, 2, 3, 4]):
        with pytest.raises(ArithmeticInputError, match="permutation"):
            ours.placed(order)
