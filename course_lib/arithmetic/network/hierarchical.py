"""Collectives in two stages, inside each node and between nodes, and the same idea on the dimensions of a torus.

Rank numbers go through a node first: rank = node * per_node + local. A torus counts its last dimension fastest.
"""

import itertools
import math
from collections.abc import Callable, Sequence

from course_lib.arithmetic.collectives import Collective
from course_lib.arithmetic.errors import ArithmeticInputError, check_choice, check_count
from course_lib.arithmetic.network.gathering import ring_all_gather, ring_reduce_scatter
from course_lib.arithmetic.network.message import Chunks, Message, Phase, Schedule
from course_lib.arithmetic.network.reducing import ring_all_reduce, side_by_side
from course_lib.arithmetic.network.schedules import schedule


def hierarchical(
    op: Collective,
    per_node: int,
    nodes: int,
    *,
    inner: str | None = None,
    outer: str | Schedule | None = None,
    segments: int | None = None,
) -> Schedule:
    """A collective as one stage inside all nodes at once and one between nodes, for each local rank at once.

    all_reduce: reduce-scatter inside, all-reduce of each local rank's share between nodes, all-gather inside.
    all_gather: between nodes first, while there is least to send. reduce_scatter: inside first, for the same reason.
    all_to_all: inside first, to the local rank of each block's destination; then between nodes. broadcast: between
    the nodes' first ranks, then inside.

    Args:
        op: the collective.
        per_node: ranks of one node.
        nodes: how many nodes.
        inner: algorithm inside a node (of reduce_scatter and all_gather where op is all_reduce); its first when left
            out.
        outer: algorithm between nodes, or a schedule of the same op for `nodes` ranks: a third level is a hierarchical
            schedule given here.
        segments: of an outer "tree", "double_tree" or "chain".

    Returns:
        The schedule for per_node * nodes ranks.

    Raises:
        ArithmeticInputError: for an unknown name, a number that an algorithm cannot take, or an outer schedule of
            another op or for another number of ranks.

    Source: AWS Neuron documentation, "Inter-node Collective Communications"; Mikami et al. 2018, arXiv 1811.05233
        (the all-reduce, there on a torus).
    """
    check_choice("op", op, ("all_reduce", "all_gather", "reduce_scatter", "broadcast", "all_to_all"))
    check_count("per_node", per_node)
    check_count("nodes", nodes)
    between = outer if isinstance(outer, Schedule) else schedule(op, nodes, outer, segments=segments)
    if (between.op, between.ranks) != (op, nodes):
        given = f"{between.op} for {between.ranks} ranks"
        remedy = f"give a schedule of {op} for {nodes} ranks"
        raise ArithmeticInputError.of("outer", given, f"is not {op} for {nodes}", remedy)
    if op == "all_reduce":
        ends = [schedule(stage, per_node, inner) for stage in _SCATTER_GATHER]
        return _all_reduce(f"{ends[0].algorithm}+{between.algorithm}", ends[0], between, ends[1])
    inside = schedule(op, per_node, inner)
    name = f"{inside.algorithm}+{between.algorithm}"
    if op == "broadcast":
        return _broadcast(name, inside, between)
    if op == "all_to_all":
        return _all_to_all(name, inside, between)
    p = per_node * nodes
    local = _inside(inside, nodes, lambda node, chunks: _spread(chunks, lambda chunk: range(chunk, p, per_node)))
    remote = _between(between, per_node, lambda rank, chunks: tuple(chunk * per_node + rank for chunk in chunks))
    phases = (*remote, *local) if op == "all_gather" else (*local, *remote)
    return Schedule(op, name, p, p, phases)


_SCATTER_GATHER: tuple[Collective, Collective] = ("reduce_scatter", "all_gather")


def torus_all_reduce(dims: Sequence[int], *, all_links: bool = True) -> Schedule:
    """All-reduce on the rings of a torus: every message goes to a neighbor.

    Reduce-scatter along the last dimension, then the next, ..., all-gather backward. One such walk keeps one link of a
    device busy; `all_links` cuts the buffer into 2 shares for each dimension, which start in different dimensions and
    turn in different directions, so that all links work at once.

    Args:
        dims: sizes, e.g. (4, 4); rank (y, x) of a 4 × 4 torus is number 4 y + x.
        all_links: use every link; needs dimensions of one size, as shares must keep step.

    Returns:
        The schedule.

    Raises:
        ArithmeticInputError: for a size that is no count, or all_links with different sizes.

    Source: Mikami et al. 2018, arXiv 1811.05233 (2-D); Jain & Sabharwal 2010, "Optimal bucket algorithms for large MPI
        collectives on torus interconnects" (shares for all links).
    """
    sizes = tuple(dims)
    if not sizes:
        raise ArithmeticInputError.of("dims", dims, "is empty", "give at least one size, such as (4, 4)")
    for size in sizes:
        check_count("dims", size)
    if not all_links:
        return _walk(sizes, range(len(sizes)), 1)
    if len(set(sizes)) > 1:
        remedy = "pass all_links=False, or a torus with dimensions of one size"
        raise ArithmeticInputError.of("dims", sizes, "must be of one size for all_links", remedy)
    turns = [[(first + i) % len(sizes) for i in range(len(sizes))] for first in range(len(sizes))]
    return side_by_side("torus", *(_walk(sizes, turn, step) for turn in turns for step in (1, -1)))


def _walk(dims: tuple[int, ...], axes: Sequence[int], step: int) -> Schedule:
    """Rings along dims[axes[-1]], the innermost, then the axis before it, ...; ranks numbered as the torus does."""
    made = ring_all_reduce(dims[axes[0]], step=step)
    for axis in axes[1:]:
        size = dims[axis]
        made = _all_reduce("torus", ring_reduce_scatter(size, step=step), made, ring_all_gather(size, step=step))
    if list(axes) == list(range(len(dims))):
        return made
    strides = [math.prod(dims[axis + 1 :]) for axis in range(len(dims))]
    places = itertools.product(*(range(dims[axis]) for axis in axes))
    return made.placed([sum(i * strides[axis] for i, axis in zip(place, axes, strict=True)) for place in places])


def _all_reduce(name: str, scatter: Schedule, between: Schedule, gather: Schedule) -> Schedule:
    d, parts = scatter.ranks, between.chunks

    def share(node: int, chunks: Chunks) -> Chunks:
        return _spread(chunks, lambda chunk: range(chunk * parts, (chunk + 1) * parts))

    remote = _between(between, d, lambda rank, chunks: tuple(rank * parts + chunk for chunk in chunks))
    local = (_inside(stage, between.ranks, share) for stage in (scatter, gather))
    return Schedule("all_reduce", name, d * between.ranks, d * parts, (*next(local), *remote, *next(local)))


def _broadcast(name: str, inside: Schedule, between: Schedule) -> Schedule:
    d, fine, coarse = inside.ranks, inside.chunks, between.chunks
    remote = _between(between, d, lambda _, chunks: _spread(chunks, lambda c: range(c * fine, (c + 1) * fine)), 1)
    local = _inside(
        inside, between.ranks, lambda _, chunks: _spread(chunks, lambda c: range(c * coarse, (c + 1) * coarse))
    )
    return Schedule("broadcast", name, d * between.ranks, fine * coarse, (*remote, *local), between.root * d)


def _all_to_all(name: str, inside: Schedule, between: Schedule) -> Schedule:
    d, nodes = inside.ranks, between.ranks
    p = d * nodes

    def local_blocks(node: int, chunks: Chunks) -> Chunks:
        # inside, a block stands for all whose destination has its local rank, on whatever node
        return _spread(
            chunks,
            lambda block: range((node * d + block // d) * p + block % d, (node * d + block // d + 1) * p, d),
        )

    def remote_blocks(rank: int, chunks: Chunks) -> Chunks:
        # between nodes, a block stands for all that the origin's node has collected for this local rank
        return _spread(
            chunks,
            lambda block: [(block // nodes * d + i) * p + block % nodes * d + rank for i in range(d)],
        )

    phases = (*_inside(inside, nodes, local_blocks), *_between(between, d, remote_blocks))
    return Schedule("all_to_all", name, p, p, phases)


def _spread(chunks: Chunks, widen: Callable[[int], Sequence[int]]) -> Chunks:
    if len(chunks) == 1:
        wide = widen(chunks[0])
        return wide if isinstance(wide, range) else tuple(wide)
    return tuple(itertools.chain.from_iterable(widen(chunk) for chunk in chunks))


def _inside(stage: Schedule, nodes: int, rename: Callable[[int, Chunks], Chunks]) -> list[Phase]:
    """The stage's phases in all nodes at once; `rename` turns (node, chunks of the stage) into the whole's chunks."""
    d = stage.ranks

    def wide(phase: Phase) -> Phase:
        def messages(number: int) -> list[Message]:
            small = phase.messages(number)
            return [
                Message(node * d + s, node * d + t, rename(node, chunks), add)
                for node in range(nodes)
                for s, t, chunks, add in small
            ]

        return Phase(phase.rounds, messages, f"{phase.label} inside")

    return [wide(phase) for phase in stage.phases]


def _between(
    stage: Schedule, per_node: int, rename: Callable[[int, Chunks], Chunks], locals_: int | None = None
) -> list[Phase]:
    """The stage's phases between nodes, for the first `locals_` local ranks of each (all when left out)."""

    def wide(phase: Phase) -> Phase:
        def messages(number: int) -> list[Message]:
            small = phase.messages(number)
            return [
                Message(s * per_node + rank, t * per_node + rank, rename(rank, chunks), add)
                for s, t, chunks, add in small
                for rank in range(per_node if locals_ is None else locals_)
            ]

        return Phase(phase.rounds, messages, f"{phase.label} between")

    return [wide(phase) for phase in stage.phases]
