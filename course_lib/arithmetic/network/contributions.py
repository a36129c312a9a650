"""Proves that a schedule computes its collective, on sets of contributions instead of numbers."""

from course_lib.arithmetic.network.message import Message, Schedule

Held = list[dict[int, int]]  # rank → chunk → the ranks whose contribution is in it, as bits


class WrongScheduleError(ValueError):
    """A schedule sends what it does not have, adds a contribution twice, or ends with the wrong result."""


def verify(schedule: Schedule) -> None:
    """Run a schedule on sets of contributions and check every rule that `Schedule` states.

    A chunk is the set of the ranks whose data is in it. Adding unites two sets, which must have nothing in common: a
    contribution that is added twice would be counted twice.

    Args:
        schedule: of any origin, a learner's too.

    Raises:
        WrongScheduleError: naming round, ranks and chunk of the first mistake.
    """
    held = _start(schedule)
    for number, messages in enumerate(schedule.rounds()):
        _play(number, messages, schedule.ranks, held)
    for rank, chunks in enumerate(_wanted(schedule)):
        for chunk, wanted in chunks.items():
            if held[rank].get(chunk) != wanted:
                got = _names(held[rank].get(chunk, 0))
                raise WrongScheduleError(
                    f"at the end rank {rank} has {got} in chunk {chunk}, not {_names(wanted)}. "
                    f"Remedy: follow chunk {chunk} backward through the rounds."
                )


def holdings(schedule: Schedule) -> list[list[dict[int, frozenset[int]]]]:
    """What every rank holds before the first round and after each, for pictures.

    Args:
        schedule: a right one.

    Returns:
        A frame for each moment: for every rank, chunk → the ranks whose data is in it.

    Raises:
        WrongScheduleError: as `verify`, for messages that send what is not there or add something twice.
    """
    held = _start(schedule)
    frames = [_as_sets(held, schedule.ranks)]
    for number, messages in enumerate(schedule.rounds()):
        _play(number, messages, schedule.ranks, held)
        frames.append(_as_sets(held, schedule.ranks))
    return frames


def _as_sets(held: Held, ranks: int) -> list[dict[int, frozenset[int]]]:
    return [
        {chunk: frozenset(r for r in range(ranks) if bits >> r & 1) for chunk, bits in chunks.items()}
        for chunks in held
    ]


def _play(number: int, messages: list[Message], ranks: int, held: Held) -> None:
    def wrong(message: Message, what: str) -> WrongScheduleError:
        way = f"round {number}, rank {message.source} to rank {message.target}"
        return WrongScheduleError(f"{way}: {what}. Remedy: mend this message or one before it.")

    pairs: set[tuple[int, int]] = set()
    loads: list[list[int]] = []
    for message in messages:
        source, target, chunks, _ = message
        if source == target or not (0 <= source < ranks and 0 <= target < ranks):
            raise wrong(message, f"needs two different ranks below {ranks}")
        if (source, target) in pairs:
            raise wrong(message, "the second message between the two in one round; pack them into one")
        pairs.add((source, target))
        missing = [chunk for chunk in chunks if chunk not in held[source]]
        if missing:
            raise wrong(message, f"the sender does not have chunk {missing[0]}")
        loads.append([held[source][chunk] for chunk in chunks])
    for message, load in zip(messages, loads, strict=True):
        mine = held[message.target]
        for chunk, arrived in zip(message.chunks, load, strict=True):
            twice = mine.get(chunk, 0) & arrived
            if message.reduce and twice:
                raise wrong(message, f"would add {_names(twice)} to chunk {chunk} twice")
            mine[chunk] = mine.get(chunk, 0) | arrived if message.reduce else arrived


def _start(schedule: Schedule) -> Held:
    p, chunks = schedule.ranks, schedule.chunks
    match schedule.op:
        case "all_reduce" | "reduce_scatter":
            return [dict.fromkeys(range(chunks), 1 << rank) for rank in range(p)]
        case "all_gather":
            return [{rank: 1 << rank} for rank in range(p)]
        case "broadcast":
            root = schedule.root
            return [dict.fromkeys(range(chunks), 1 << root) if rank == root else {} for rank in range(p)]
        case "all_to_all":
            return [{rank * p + other: 1 << rank for other in range(p)} for rank in range(p)]


def _wanted(schedule: Schedule) -> Held:
    p, chunks, everybody = schedule.ranks, schedule.chunks, (1 << schedule.ranks) - 1
    match schedule.op:
        case "all_reduce":
            return [dict.fromkeys(range(chunks), everybody) for _ in range(p)]
        case "reduce_scatter":
            return [{rank: everybody} for rank in range(p)]
        case "all_gather":
            return [{owner: 1 << owner for owner in range(p)} for _ in range(p)]
        case "broadcast":
            return [dict.fromkeys(range(chunks), 1 << schedule.root) for _ in range(p)]
        case "all_to_all":
            return [{origin * p + rank: 1 << origin for origin in range(p)} for rank in range(p)]


def _names(bits: int) -> str:
    ranks = [str(rank) for rank in range(bits.bit_length()) if bits >> rank & 1]
    return f"the data of rank {', '.join(ranks)}" if ranks else "nothing"
