"""What a collective sends, round by round: messages, phases of rounds that are alike, and the whole schedule.

The simulator prices a schedule, `course_lib.distributed.collectives` moves real tensors by it, and `verify` proves on
sets of contributions that it computes the collective: one object for all three.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from course_lib.arithmetic.collectives import Collective
from course_lib.arithmetic.errors import ArithmeticInputError, check_not_negative

Chunks = range | tuple[int, ...]


class Message(NamedTuple):
    """One message of a round.

    Args:
        source: the rank that sends.
        target: the rank that receives, never the source.
        chunks: indices of the chunks sent, in the order in which they are packed.
        reduce: True: the target adds what it receives to its own chunks of these indices. False: it copies, and what
            it had there (if anything) is gone.
    """

    source: int
    target: int
    chunks: Chunks
    reduce: bool


@dataclass(frozen=True)
class Phase:
    """Rounds that are alike: in each the same pairs exchange the same number of chunks; only which chunks differs.

    The simulator prices the first round of a phase and multiplies.

    Args:
        rounds: how many.
        messages: number of the round within the phase, from 0 → its messages.
        label: what the phase does, e.g. "reduce-scatter".
    """

    rounds: int
    messages: Callable[[int], list[Message]]
    label: str


@dataclass(frozen=True)
class Schedule:
    """A collective as rounds of messages.

    **Chunks.** A rank's buffer of `bytes_` is cut into `chunks` pieces of equal size (a real buffer that does not
    divide: pieces that differ by at most one element, the same on every rank). What they are by op:

    - all_reduce: every rank starts with all chunks, its own contribution to each, and ends with all sums.
    - reduce_scatter: every rank starts with all chunks and ends with the sum of chunk number `rank`; what its other
      chunks hold at the end is of no use. `chunks == ranks`.
    - all_gather: rank r starts with chunk r alone and ends with all. `chunks == ranks`.
    - broadcast: rank `root` starts with all chunks, everybody ends with them.
    - all_to_all: a rank sends and receives `chunks == ranks` blocks. A block's index names both of its ends:
      `origin * ranks + destination`, so indices run to ranks². Rank r starts with the blocks of origin r and ends with
      those of destination r; on the way (Bruck, hierarchical) it may hold blocks that are neither.

    **Rounds.** All messages of a round are sent from what the ranks held when the round began. Receive into scratch
    memory, wait until this rank's sends and receives of the round are done, then add (`reduce`) or copy. A rank sends
    at most one message to a given target in a round, and needs nothing but its own messages to go on: no barrier.
    Where several messages of a round add to the same chunk, their order is that of the list.

    Args:
        op: the collective.
        algorithm: its name, as `schedule` knows it.
        ranks: how many take part.
        chunks: pieces of one rank's buffer.
        phases: what happens, in order.
        root: the rank that holds the data of a broadcast; 0 elsewhere.
    """

    op: Collective
    algorithm: str
    ranks: int
    chunks: int
    phases: tuple[Phase, ...]
    root: int = 0

    @property
    def steps(self) -> int:
        """How many rounds."""
        return sum(phase.rounds for phase in self.phases)

    def rounds(self) -> Iterator[list[Message]]:
        """Every round's messages, in order."""
        for phase in self.phases:
            for number in range(phase.rounds):
                yield phase.messages(number)

    def rounds_of(self, rank: int) -> Iterator[tuple[list[Message], list[Message]]]:
        """What one rank sends and receives in each round; both lists may be empty.

        Args:
            rank: of the rank, from 0.

        Returns:
            (sent, received) for each round.

        Raises:
            ArithmeticInputError: when there is no such rank.
        """
        if not 0 <= rank < self.ranks:
            limit, remedy = f"is no rank of a schedule for {self.ranks}", f"give 0 to {self.ranks - 1}"
            raise ArithmeticInputError.of("rank", rank, limit, remedy)
        for messages in self.rounds():
            sent = [message for message in messages if message.source == rank]
            yield sent, [message for message in messages if message.target == rank]

    def chunk_bytes(self, bytes_: float) -> float:
        """Size of one chunk of a buffer of `bytes_` bytes.

        Raises:
            ArithmeticInputError: when the size is negative or not a number.
        """
        check_not_negative("bytes_", bytes_)
        return bytes_ / self.chunks

    def bytes_sent(self, bytes_: float) -> list[float]:
        """Bytes that each rank sends in all, by rank; `max` of it compares with `collective_time`.

        Args:
            bytes_: size of the buffer, as `collective_time` counts it.

        Raises:
            ArithmeticInputError: when the size is negative or not a number.
        """
        size = self.chunk_bytes(bytes_)
        sent: Counter[int] = Counter()
        for phase in self.phases:
            for message in phase.messages(0) if phase.rounds else ():
                sent[message.source] += phase.rounds * len(message.chunks)
        return [sent[rank] * size for rank in range(self.ranks)]

    def ports(self) -> int:
        """Most messages that one rank sends, or receives, in one round: 1 for the algorithms of the textbooks."""
        most = 0
        for phase in self.phases:
            messages = phase.messages(0) if phase.rounds else []
            for ends in (Counter(m.source for m in messages), Counter(m.target for m in messages)):
                most = max(most, *ends.values(), 0)
        return most

    def placed(self, order: Sequence[int]) -> "Schedule":
        """The same schedule with rank i's part played by rank `order[i]`, so that a ring follows the wires.

        Args:
            order: a permutation of the ranks.

        Returns:
            A schedule for the same collective: chunks that belong to a rank move with it.

        Raises:
            ArithmeticInputError: when `order` is no permutation.
        """
        if sorted(order) != list(range(self.ranks)):
            remedy = f"give each rank from 0 to {self.ranks - 1} once"
            raise ArithmeticInputError.of("order", order, "is not a permutation of the ranks", remedy)
        to = tuple(order)
        rename = _chunk_names(self.op, to)

        def phase_on(phase: Phase) -> Phase:
            def messages(number: int) -> list[Message]:
                return [Message(to[s], to[t], rename(chunks), add) for s, t, chunks, add in phase.messages(number)]

            return replace(phase, messages=messages)

        root = to[self.root] if self.op == "broadcast" else 0
        return replace(self, phases=tuple(phase_on(phase) for phase in self.phases), root=root)


def _chunk_names(op: Collective, to: tuple[int, ...]) -> Callable[[Chunks], Chunks]:
    if op in ("all_gather", "reduce_scatter"):
        return lambda chunks: tuple(to[chunk] for chunk in chunks)
    if op == "all_to_all":
        p = len(to)
        return lambda chunks: tuple(to[chunk // p] * p + to[chunk % p] for chunk in chunks)
    return lambda chunks: chunks
