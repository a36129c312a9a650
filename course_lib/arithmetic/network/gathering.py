"""All-gathers, and the reduce-scatters that they become when time runs backward."""

from dataclasses import replace

from course_lib.arithmetic.collectives import Collective
from course_lib.arithmetic.errors import ArithmeticInputError
from course_lib.arithmetic.network.message import Message, Phase, Schedule


def backward(schedule: Schedule, op: Collective, label: str) -> Schedule:
    """The schedule with time, and every message, turned around; copies become additions.

    Where an all-gather or a broadcast brings each rank each chunk at most once, a chunk's way is a tree that begins at
    its owner. Walked backward, the same tree brings every rank's contribution home.

    Args:
        schedule: made of copies only.
        op: what the result is.
        label: of the result's phases.

    Returns:
        The reduction, with the same rounds and sizes.
    """

    def turned(phase: Phase) -> Phase:
        def messages(number: int) -> list[Message]:
            forward = phase.messages(phase.rounds - 1 - number)
            return [Message(target, source, chunks, True) for source, target, chunks, _ in forward]

        return Phase(phase.rounds, messages, label)

    return replace(schedule, op=op, phases=tuple(turned(phase) for phase in reversed(schedule.phases)))


def ring_all_gather(ranks: int, *, step: int = 1) -> Schedule:
    """Each rank hands its newest chunk to the next rank, ranks - 1 times.

    Args:
        ranks: how many take part.
        step: to whom: +1 the rank above, -1 the rank below.
    """

    def messages(number: int) -> list[Message]:
        return [Message(r, (r + step) % ranks, ((r - step * number) % ranks,), False) for r in range(ranks)]

    return Schedule("all_gather", "ring", ranks, ranks, (Phase(ranks - 1, messages, "all-gather"),))


def ring_reduce_scatter(ranks: int, *, step: int = 1) -> Schedule:
    """Partial sums travel once around the ring and end at the rank that owns them; messages go to rank + step."""
    return backward(ring_all_gather(ranks, step=-step), "reduce_scatter", "reduce-scatter")


def doubling_all_gather(ranks: int) -> Schedule:
    """Ranks at distance 1, 2, 4, ... exchange all that they have; powers of two only.

    Raises:
        ArithmeticInputError: when `ranks` is no power of two.
    """
    check_power_of_two(ranks, "use algorithm='bruck', which takes any number of ranks in as few rounds")

    def phase(distance: int) -> Phase:
        def messages(number: int) -> list[Message]:
            held = [range(r - r % distance, r - r % distance + distance) for r in range(ranks)]
            return [Message(r, r ^ distance, held[r], False) for r in range(ranks)]

        return Phase(1, messages, "all-gather")

    phases = tuple(phase(1 << bit) for bit in range(ranks.bit_length() - 1))
    return Schedule("all_gather", "recursive_doubling", ranks, ranks, phases)


def halving_reduce_scatter(ranks: int) -> Schedule:
    """Recursive halving: ranks at distance p/2, p/4, ... swap halves of what they still reduce; powers of two only."""
    return backward(doubling_all_gather(ranks), "reduce_scatter", "reduce-scatter")


def bruck_all_gather(ranks: int) -> Schedule:
    """As recursive doubling, in one direction around a circle, so that any number of ranks will do."""

    def phase(distance: int) -> Phase:
        count = min(distance, ranks - distance)

        def messages(number: int) -> list[Message]:
            return [
                Message(r, (r - distance) % ranks, tuple((r + i) % ranks for i in range(count)), False)
                for r in range(ranks)
            ]

        return Phase(1, messages, "all-gather")

    phases = tuple(phase(1 << bit) for bit in range((ranks - 1).bit_length()))
    return Schedule("all_gather", "bruck", ranks, ranks, phases)


def bruck_reduce_scatter(ranks: int) -> Schedule:
    """Bruck's all-gather backward: ceil(lg p) rounds for any number of ranks."""
    return backward(bruck_all_gather(ranks), "reduce_scatter", "reduce-scatter")


def direct_all_gather(ranks: int) -> Schedule:
    """Everybody sends its chunk to everybody at once: one round, for a mesh of links or a switch with many ports."""

    def messages(number: int) -> list[Message]:
        return [Message(r, (r + step) % ranks, (r,), False) for step in range(1, ranks) for r in range(ranks)]

    return Schedule("all_gather", "direct", ranks, ranks, (Phase(min(1, ranks - 1), messages, "all-gather"),))


def direct_reduce_scatter(ranks: int) -> Schedule:
    """Everybody sends each owner its share of the sum at once: one round."""
    return backward(direct_all_gather(ranks), "reduce_scatter", "reduce-scatter")


def check_power_of_two(ranks: int, remedy: str) -> None:
    """Raise `ArithmeticInputError` unless `ranks` is a power of two."""
    if ranks & (ranks - 1):
        raise ArithmeticInputError.of("ranks", ranks, "must be a power of two for recursive_doubling", remedy)
