"""Plays a schedule on NumPy arrays, one for each rank, as processes would: what is sent is what was there before."""

import numpy as np

from course_lib.arithmetic.network import Schedule

WIDTH = 3  # numbers in a chunk


def start(schedule: Schedule) -> list[np.ndarray]:
    """What each rank contributes: (chunks, WIDTH) whole numbers, so that sums are exact."""
    generator = np.random.default_rng(schedule.ranks)
    return [generator.integers(-999, 999, (schedule.chunks, WIDTH)) for _ in range(schedule.ranks)]


def play(schedule: Schedule, given: list[np.ndarray]) -> list[dict[int, np.ndarray]]:
    """rank → chunk → numbers, after the last round."""
    p = schedule.ranks
    if schedule.op == "all_to_all":
        held = [{rank * p + other: given[rank][other] for other in range(p)} for rank in range(p)]
    elif schedule.op == "all_gather":
        held = [{rank: given[rank][rank]} for rank in range(p)]
    elif schedule.op == "broadcast":
        held = [dict(enumerate(given[rank])) if rank == schedule.root else {} for rank in range(p)]
    else:
        held = [dict(enumerate(given[rank])) for rank in range(p)]
    for messages in schedule.rounds():
        packed = [np.stack([held[m.source][chunk] for chunk in m.chunks]) for m in messages]
        for message, load in zip(messages, packed, strict=True):
            mine = held[message.target]
            for chunk, numbers in zip(message.chunks, load, strict=True):
                mine[chunk] = mine[chunk] + numbers if message.reduce else numbers
    return held


def wrong_ranks(schedule: Schedule) -> list[int]:
    """Ranks that do not end with what NumPy says the collective is."""
    given = start(schedule)
    held = play(schedule, given)
    total = np.sum(given, axis=0)
    wrong = []
    for rank in range(schedule.ranks):
        p = schedule.ranks
        wanted = {
            "all_reduce": lambda: dict(enumerate(total)),
            "reduce_scatter": lambda rank=rank: {rank: total[rank]},
            "all_gather": lambda p=p: {owner: given[owner][owner] for owner in range(p)},
            "broadcast": lambda: dict(enumerate(given[schedule.root])),
            "all_to_all": lambda rank=rank, p=p: {origin * p + rank: given[origin][rank] for origin in range(p)},
        }[schedule.op]()
        if not all(np.array_equal(held[rank].get(chunk), numbers) for chunk, numbers in wanted.items()):
            wrong.append(rank)
    return wrong
