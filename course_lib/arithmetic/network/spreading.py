"""Broadcasts without a pipeline, and the binomial all-reduce: a tree that doubles the informed ranks each round."""

from course_lib.arithmetic.network.gathering import backward, ring_all_gather
from course_lib.arithmetic.network.message import Message, Phase, Schedule
from course_lib.arithmetic.network.reducing import chained


def binomial_broadcast(ranks: int) -> Schedule:
    """From rank 0: whoever has the buffer sends it half of the remaining distance ahead, ceil(lg p) times."""

    def phase(distance: int) -> Phase:
        pairs = [(r, r + distance) for r in range(0, ranks - distance, 2 * distance)]
        return Phase(1, lambda _: [Message(r, other, range(1), False) for r, other in pairs], "broadcast")

    phases = tuple(phase(distance) for distance in _distances(ranks))
    return Schedule("broadcast", "binomial", ranks, 1, phases)


def binomial_all_reduce(ranks: int) -> Schedule:
    """Reduce up the binomial tree to rank 0, then broadcast down it: few rounds, the whole buffer in each."""
    down = binomial_broadcast(ranks)
    return chained("binomial", backward(down, "all_reduce", "reduce"), down)


def scatter_allgather_broadcast(ranks: int) -> Schedule:
    """From rank 0: scatter down the binomial tree, then all-gather around the ring (van de Geijn)."""

    def phase(distance: int) -> Phase:
        pairs = [(r, r + distance) for r in range(0, ranks - distance, 2 * distance)]

        def messages(number: int) -> list[Message]:
            return [Message(r, other, range(other, min(other + distance, ranks)), False) for r, other in pairs]

        return Phase(1, messages, "scatter")

    scatter = tuple(phase(distance) for distance in _distances(ranks))
    return Schedule("broadcast", "scatter_allgather", ranks, ranks, scatter + ring_all_gather(ranks).phases)


def _distances(ranks: int) -> list[int]:
    return [1 << bit for bit in reversed(range((ranks - 1).bit_length()))]
