"""All-to-alls: every rank has one block for every other; a block's index is `origin * ranks + destination`."""

from course_lib.arithmetic.network.message import Message, Phase, Schedule


def pairwise_all_to_all(ranks: int) -> Schedule:
    """In round s each rank sends one block, straight to the rank s above it."""

    def phase(step: int) -> Phase:
        def messages(number: int) -> list[Message]:
            pairs = [(r, (r + step) % ranks) for r in range(ranks)]
            return [Message(r, other, (r * ranks + other,), False) for r, other in pairs]

        return Phase(1, messages, "exchange")

    phases = tuple(phase(step) for step in range(1, ranks))
    return Schedule("all_to_all", "pairwise", ranks, ranks, phases)


def direct_all_to_all(ranks: int) -> Schedule:
    """All blocks at once: one round."""

    def messages(number: int) -> list[Message]:
        pairs = [(r, (r + step) % ranks) for step in range(1, ranks) for r in range(ranks)]
        return [Message(r, other, (r * ranks + other,), False) for r, other in pairs]

    return Schedule("all_to_all", "direct", ranks, ranks, (Phase(min(1, ranks - 1), messages, "exchange"),))


def bruck_all_to_all(ranks: int) -> Schedule:
    """Blocks travel by the binary digits of their distance: ceil(lg p) rounds of about half of the buffer each.

    Source: Bruck, Ho, Kipnis, Upfal & Weathersby 1997, "Efficient algorithms for all-to-all communications in
    multiport message-passing systems".
    """

    def phase(distance: int) -> Phase:
        # a block that still has this digit to go stands at its origin plus the digits below
        due = [step for step in range(1, ranks) if step & distance]

        def blocks(rank: int) -> tuple[int, ...]:
            origins = [((rank - (step & (distance - 1))) % ranks, step) for step in due]
            return tuple(origin * ranks + (origin + step) % ranks for origin, step in origins)

        def messages(number: int) -> list[Message]:
            return [Message(r, (r + distance) % ranks, blocks(r), False) for r in range(ranks)]

        return Phase(1, messages, "exchange")

    phases = tuple(phase(1 << bit) for bit in range((ranks - 1).bit_length()))
    return Schedule("all_to_all", "bruck", ranks, ranks, phases)
