"""collective_time and bus_bandwidth_factor. Oracle: the algorithms run step by step on lists, messages counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.arithmetic import bus_bandwidth_factor, collective_time

OPS = ("all_reduce", "all_gather", "reduce_scatter", "broadcast", "all_to_all")
MODEL = {"alpha_seconds": 1e-5, "beta_seconds_per_byte": 1e-10}


class Network:
    """Ranks that send lists of numbers in rounds; counts rounds and what the busiest rank sent."""

    def __init__(self, ranks):
        self.rounds, self.sent = 0, [0] * ranks

    def exchange(self, messages):
        """messages: (source, target, numbers); returns target → (source, numbers)"""
        self.rounds += 1
        for source, _, numbers in messages:
            self.sent[source] += len(numbers)
        return {target: (source, list(numbers)) for source, target, numbers in messages}


def ring_all_reduce(data, net):
    p, n = len(data), len(data[0])
    size = n // p
    piece = lambda c: slice(c % p * size, (c % p + 1) * size)  # noqa: E731
    for add in (True, False):
        for step in range(p - 1):
            shift = 0 if add else 1
            got = net.exchange([(r, (r + 1) % p, data[r][piece(r - step + shift)]) for r in range(p)])
            for r, (source, numbers) in got.items():
                s = piece(source - step + shift)
                data[r][s] = [a + b for a, b in zip(data[r][s], numbers, strict=True)] if add else numbers


def recursive_doubling_all_reduce(data, net):
    p, distance = len(data), 1
    while distance < p:
        got = net.exchange([(r, r ^ distance, data[r]) for r in range(p)])
        for r, (_, numbers) in got.items():
            data[r] = [a + b for a, b in zip(data[r], numbers, strict=True)]
        distance *= 2


def rabenseifner_all_reduce(data, net):
    p, n = len(data), len(data[0])
    low, high, distance, halves = [0] * p, [n] * p, p // 2, []
    while distance:
        kept = {}
        for r in range(p):
            middle = (low[r] + high[r]) // 2
            kept[r] = (low[r], middle) if not r & distance else (middle, high[r])
        halves.append([(low[r], high[r]) for r in range(p)])
        got = net.exchange([(r, r ^ distance, data[r][slice(*kept[r ^ distance])]) for r in range(p)])
        for r, (_, numbers) in got.items():
            s = slice(*kept[r])
            data[r][s] = [a + b for a, b in zip(data[r][s], numbers, strict=True)]
            low[r], high[r] = kept[r]
        distance //= 2
    distance = 1
    for before in reversed(halves):
        spans = [(low[r], high[r]) for r in range(p)]
        got = net.exchange([(r, r ^ distance, data[r][slice(*spans[r])]) for r in range(p)])
        for r, (source, numbers) in got.items():
            data[r][slice(*spans[source])] = numbers
            low[r], high[r] = before[r]
        distance *= 2


@pytest.mark.parametrize("p", [2, 4, 8])
@pytest.mark.parametrize(
    ("algorithm", "run"),
    [("ring", ring_all_reduce), ("recursive_doubling", recursive_doubling_all_reduce),
     ("rabenseifner", rabenseifner_all_reduce)],
)  # fmt: skip
def test_an_all_reduce_takes_the_steps_and_bytes_of_the_algorithm_itself(p, algorithm, run):
    """Oracle: the algorithm on p lists, which must also end with the right sums."""
    n = 24 * p
    data = [[rank * 1000 + i for i in range(n)] for rank in range(p)]
    wanted = [sum(column) for column in zip(*data, strict=True)]
    net = Network(p)
    run(data, net)
    assert all(row == wanted for row in data)
    ours = collective_time("all_reduce", n, p, algorithm=algorithm, **MODEL)
    assert (ours.steps, ours.bytes_sent_per_rank) == (net.rounds, max(net.sent))


@pytest.mark.parametrize("p", [3, 5, 6])
def test_the_ring_needs_no_power_of_two(p):
    """Oracle: the ring algorithm on p lists."""
    data = [[float(rank)] * (4 * p) for rank in range(p)]
    net = Network(p)
    ring_all_reduce(data, net)
    ours = collective_time("all_reduce", 4 * p, p, **MODEL)
    assert ours.steps == net.rounds
    assert ours.bytes_sent_per_rank == pytest.approx(max(net.sent))


@pytest.mark.parametrize("p", [2, 3, 8, 13])
def test_a_binomial_broadcast_doubles_the_informed_ranks_each_round(p):
    """Oracle: rounds until 1, 2, 4, ... ranks are p."""
    informed, rounds = 1, 0
    while informed < p:
        informed, rounds = 2 * informed, rounds + 1
    ours = collective_time("broadcast", 100, p, **MODEL)
    assert (ours.steps, ours.bytes_sent_per_rank) == (rounds, 100 * rounds)


@pytest.mark.parametrize(
    ("op", "algorithm", "seconds"),
    [
        ("all_gather", "ring", 7e-5 + 7 / 8 * 0.1), ("all_gather", "recursive_doubling", 3e-5 + 7 / 8 * 0.1),
        ("reduce_scatter", "ring", 7e-5 + 7 / 8 * 0.1), ("all_to_all", "pairwise", 7e-5 + 7 / 8 * 0.1),
        ("broadcast", "scatter_allgather", 10e-5 + 2 * 7 / 8 * 0.1),
    ],
)  # fmt: skip
def test_the_other_collectives_follow_thakurs_table(op, algorithm, seconds):
    """Oracle: Thakur et al. 2005 evaluated by hand at 8 ranks, 1e9 bytes, 10 us, 10 GB/s."""
    ours = collective_time(op, 1e9, 8, algorithm=algorithm, **MODEL)
    assert ours.seconds == pytest.approx(seconds)


@pytest.mark.parametrize("op", ["all_reduce", "all_gather", "reduce_scatter", "all_to_all"])
@pytest.mark.parametrize("p", [2, 7, 64])
def test_bus_bandwidth_is_the_links_own_when_latency_is_nothing(op, p):
    """Oracle: nccl-tests defines bus bandwidth so that it equals 1/beta for the best algorithm."""
    seconds = collective_time(op, 1e9, p, alpha_seconds=0, beta_seconds_per_byte=1e-10).seconds
    assert 1e9 / seconds * bus_bandwidth_factor(op, p) == pytest.approx(1e10)


@given(op=st.sampled_from(OPS), p=st.integers(1, 512), small=st.floats(0, 1e9), more=st.floats(0, 1e9))
def test_time_grows_with_bytes_and_ranks_and_its_parts_add_up(op, p, small, more):
    """Oracle: monotonicity and addition."""
    one, two = (collective_time(op, n, p, **MODEL) for n in (small, small + more))
    wider = collective_time(op, small, p + 1, **MODEL)
    assert one.seconds <= two.seconds
    assert one.seconds <= wider.seconds * (1 + 1e-12)
    assert one.seconds == one.latency_seconds + one.transfer_seconds
    assert collective_time(op, small, 1, **MODEL).seconds == 0


def test_reduce_scatter_and_all_gather_make_an_all_reduce():
    """Oracle: the ring all-reduce is the one followed by the other."""
    parts = [collective_time(op, 1e6, 6, **MODEL).seconds for op in ("reduce_scatter", "all_gather")]
    assert collective_time("all_reduce", 1e6, 6, **MODEL).seconds == pytest.approx(sum(parts))
