"""All-reduces made of a reduction and its mirror image, and how ranks beyond a power of two take part."""

from dataclasses import replace

from course_lib.arithmetic.network.gathering import (
    direct_all_gather,
    direct_reduce_scatter,
    doubling_all_gather,
    halving_reduce_scatter,
    ring_all_gather,
    ring_reduce_scatter,
)
from course_lib.arithmetic.network.message import Message, Phase, Schedule


def chained(algorithm: str, first: Schedule, second: Schedule) -> Schedule:
    """The all-reduce that is a reduction followed by the spreading of its result, on the same chunks."""
    return Schedule("all_reduce", algorithm, first.ranks, first.chunks, first.phases + second.phases)


def ring_all_reduce(ranks: int, *, step: int = 1) -> Schedule:
    """Reduce-scatter around the ring, then all-gather around the ring; messages go to rank + step."""
    return chained("ring", ring_reduce_scatter(ranks, step=step), ring_all_gather(ranks, step=step))


def direct_all_reduce(ranks: int) -> Schedule:
    """Two rounds: everybody sends each owner its share, every owner sends everybody the sum."""
    return chained("direct", direct_reduce_scatter(ranks), direct_all_gather(ranks))


def doubling_all_reduce(ranks: int) -> Schedule:
    """Ranks at distance 1, 2, 4, ... exchange their whole sums; the ranks beyond a power of two are folded in."""
    core = _power_below(ranks)

    def phase(distance: int) -> Phase:
        return Phase(1, lambda _: [Message(r, r ^ distance, range(1), True) for r in range(core)], "all-reduce")

    phases = tuple(phase(1 << bit) for bit in range(core.bit_length() - 1))
    return _folded(Schedule("all_reduce", "recursive_doubling", core, 1, phases), ranks)


def rabenseifner_all_reduce(ranks: int) -> Schedule:
    """Recursive halving, then recursive doubling; the ranks beyond a power of two are folded in."""
    core = _power_below(ranks)
    inner = chained("rabenseifner", halving_reduce_scatter(core), doubling_all_gather(core))
    return _folded(inner, ranks)


def side_by_side(algorithm: str, *parts: Schedule) -> Schedule:
    """Several all-reduces of the same shape at once, each on its own share of the buffer.

    Args:
        algorithm: name of the result.
        parts: all-reduces for the same ranks, with as many chunks and phases of as many rounds each.

    Returns:
        One schedule, whose rounds hold the messages of all parts; part i has the i-th share of the chunks. Messages of
        two parts between the same pair become one, as a rank sends one message to a target.
    """
    chunks = parts[0].chunks

    def phase(at: int) -> Phase:
        def messages(number: int) -> list[Message]:
            packed: dict[tuple[int, int, bool], tuple[int, ...]] = {}
            for share, part in enumerate(parts):
                for source, target, which, add in part.phases[at].messages(number):
                    moved = tuple(share * chunks + chunk for chunk in which)
                    packed[source, target, add] = packed.get((source, target, add), ()) + moved
            return [Message(source, target, which, add) for (source, target, add), which in packed.items()]

        first = parts[0].phases[at]
        return Phase(first.rounds, messages, first.label)

    phases = tuple(phase(at) for at in range(len(parts[0].phases)))
    return Schedule("all_reduce", algorithm, parts[0].ranks, chunks * len(parts), phases)


def bidirectional_ring_all_reduce(ranks: int) -> Schedule:
    """Half of the buffer goes around the ring in one direction, half in the other: for links that are full duplex."""
    return side_by_side("bidirectional_ring", ring_all_reduce(ranks), ring_all_reduce(ranks, step=-1))


def _power_below(ranks: int) -> int:
    return 1 << (ranks.bit_length() - 1)


def _folded(core: Schedule, ranks: int) -> Schedule:
    """Pairs of ranks act as one until the others number a power of two, as MPICH does it (Thakur et al. 2005).

    Of the first 2 · extra ranks, the even ones give all that they have to the rank above, sit out, and get the result.
    """
    extra = ranks - core.ranks
    if not extra:
        return core
    actor = [2 * rank + 1 if rank < extra else rank + extra for rank in range(core.ranks)]
    everything = range(core.chunks)

    def placed(phase: Phase) -> Phase:
        def messages(number: int) -> list[Message]:
            return [Message(actor[s], actor[t], chunks, add) for s, t, chunks, add in phase.messages(number)]

        return replace(phase, messages=messages)

    fold = Phase(1, lambda _: [Message(2 * r, 2 * r + 1, everything, True) for r in range(extra)], "fold in")
    hand_back = Phase(1, lambda _: [Message(2 * r + 1, 2 * r, everything, False) for r in range(extra)], "hand back")
    return replace(core, ranks=ranks, phases=(fold, *(placed(phase) for phase in core.phases), hand_back))
