"""Trees with the buffer cut into segments that follow one another: a binary tree, two trees at once, a chain.

A rank sends and receives at most one message a round. Which goes first is found greedily: whichever could have gone
first if it had been alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

from course_lib.arithmetic.collectives import Collective
from course_lib.arithmetic.network.message import Message, Phase, Schedule

Parents = Sequence[int]  # rank → its parent, the root → itself


def binary_tree(ranks: int) -> list[int]:
    """Parents of the tree in which rank r has the children 2r + 1 and 2r + 2."""
    return [max(0, (rank - 1) // 2) for rank in range(ranks)]


def chain(ranks: int) -> list[int]:
    """Parents of the tree that is a line: rank r hangs on rank r - 1."""
    return [max(0, rank - 1) for rank in range(ranks)]


def two_trees(ranks: int) -> tuple[list[int], list[int]]:
    """Parents of two binary trees, such that a rank with children in the one is a leaf of the other.

    In the first the odd ranks are leaves. The second is its mirror image (even number of ranks) or is shifted by one;
    with an odd number of ranks, rank 0 has children in both.

    Source: Sanders, Speck & Träff 2009, "Two-tree algorithms for full bandwidth broadcast, reduction and scan".
    """
    first = [_inorder_parent(rank, ranks) for rank in range(ranks)]
    if ranks % 2 == 0:
        return first, [ranks - 1 - first[ranks - 1 - rank] for rank in range(ranks)]
    return first, [(first[(rank - 1) % ranks] + 1) % ranks for rank in range(ranks)]


def _inorder_parent(rank: int, ranks: int) -> int:
    if rank == 0:
        return 0
    height = rank & -rank
    above = (rank - height) | (2 * height)
    return above if above < ranks else rank - height


def tree_schedule(op: Collective, algorithm: str, trees: Sequence[Parents], segments: int) -> Schedule:
    """Reduce up and spread down (all_reduce), or spread down alone (broadcast), one share of the buffer per tree.

    Args:
        op: "all_reduce" or "broadcast".
        algorithm: name of the result.
        trees: parents, one list for each tree.
        segments: pieces of one tree's share.

    Returns:
        The schedule, its rounds found by list scheduling.
    """
    moves: list[_Move] = []
    for segment in range(segments):
        for tree, parents in enumerate(trees):
            _add_segment(op, parents, segment, tree * segments + segment, moves)
    phases = tuple(_phase(sent) for sent in _one_port_rounds(moves))
    root = next(rank for rank, parent in enumerate(trees[0]) if rank == parent)
    return Schedule(op, algorithm, len(trees[0]), segments * len(trees), phases, root if op == "broadcast" else 0)


class _Move(NamedTuple):
    message: Message
    due: int  # the round in which it would go if no port were ever taken, segments leaving one a round
    needs: list[int]  # numbers of the moves before it


def _phase(sent: list[Message]) -> Phase:
    return Phase(1, lambda _: list(sent), "tree")


def _add_segment(op: Collective, parents: Parents, start: int, chunk: int, moves: list[_Move]) -> None:
    """Append one segment's moves up and down one tree."""
    ranks = len(parents)
    children: list[list[int]] = [[] for _ in range(ranks)]
    for rank, parent in enumerate(parents):
        if rank != parent:
            children[parent].append(rank)
    down = [rank for rank, parent in enumerate(parents) if rank == parent]
    root = down[0]
    depth = {root: 0}
    for rank in down:  # grows while it is walked: parents before children
        down += children[rank]
        depth |= {child: depth[rank] + 1 for child in children[rank]}
    into: list[list[int]] = [[] for _ in range(ranks)]  # moves that must have reached the rank
    if op == "all_reduce":
        deepest = max(depth.values())
        for rank in reversed(down[1:]):
            into[parents[rank]].append(len(moves))
            moves.append(_Move(Message(rank, parents[rank], (chunk,), True), start + deepest - depth[rank], into[rank]))
        start += deepest
    arrived = {root: into[root]}
    for rank in down[1:]:
        arrived[rank] = [len(moves)]
        message = Message(parents[rank], rank, (chunk,), False)
        moves.append(_Move(message, start + depth[rank] - 1, arrived[parents[rank]]))


def _one_port_rounds(moves: list[_Move]) -> list[list[Message]]:
    waiting = [len(move.needs) for move in moves]
    enables: list[list[int]] = [[] for _ in moves]
    for number, move in enumerate(moves):
        for earlier in move.needs:
            enables[earlier].append(number)
    ready = [number for number, count in enumerate(waiting) if not count]
    rounds: list[list[Message]] = []
    while ready:
        ready.sort(key=lambda number: (moves[number].due, number))
        sending, receiving = set[int](), set[int]()
        taken: list[int] = []
        left: list[int] = []
        for number in ready:
            source, target = moves[number].message[:2]
            if source in sending or target in receiving:
                left.append(number)
                continue
            sending.add(source)
            receiving.add(target)
            taken.append(number)
        for number in taken:
            for later in enables[number]:
                waiting[later] -= 1
                if not waiting[later]:
                    left.append(later)
        rounds.append([moves[number].message for number in taken])
        ready = left
    return rounds
