"""Every algorithm by name: `schedule("all_reduce", 8, "ring")` hands out its rounds of messages.

Written down once, priced by the simulator, run on real tensors by `course_lib.distributed.collectives`.
"""

from collections.abc import Callable, Mapping

from course_lib.arithmetic.collectives import Collective
from course_lib.arithmetic.errors import ArithmeticInputError, check_choice, check_count
from course_lib.arithmetic.network import exchanging, gathering, pipelined, reducing, spreading
from course_lib.arithmetic.network.message import Schedule

SCHEDULES: Mapping[Collective, Mapping[str, Callable[[int], Schedule]]] = {
    "all_reduce": {
        "ring": reducing.ring_all_reduce,
        "recursive_doubling": reducing.doubling_all_reduce,
        "rabenseifner": reducing.rabenseifner_all_reduce,
        "binomial": spreading.binomial_all_reduce,
        "direct": reducing.direct_all_reduce,
        "bidirectional_ring": reducing.bidirectional_ring_all_reduce,
    },
    "all_gather": {
        "ring": gathering.ring_all_gather,
        "recursive_doubling": gathering.doubling_all_gather,
        "bruck": gathering.bruck_all_gather,
        "direct": gathering.direct_all_gather,
    },
    "reduce_scatter": {
        "ring": gathering.ring_reduce_scatter,
        "recursive_doubling": gathering.halving_reduce_scatter,
        "bruck": gathering.bruck_reduce_scatter,
        "direct": gathering.direct_reduce_scatter,
    },
    "broadcast": {
        "binomial": spreading.binomial_broadcast,
        "scatter_allgather": spreading.scatter_allgather_broadcast,
    },
    "all_to_all": {
        "pairwise": exchanging.pairwise_all_to_all,
        "bruck": exchanging.bruck_all_to_all,
        "direct": exchanging.direct_all_to_all,
    },
}

# Trees whose segments follow one another; the number of segments is the caller's choice.
PIPELINED: Mapping[Collective, Mapping[str, Callable[[int], tuple[list[int], ...]]]] = {
    "all_reduce": {"tree": lambda ranks: (pipelined.binary_tree(ranks),), "double_tree": pipelined.two_trees},
    "broadcast": {
        "tree": lambda ranks: (pipelined.binary_tree(ranks),),
        "chain": lambda ranks: (pipelined.chain(ranks),),
    },
}


def algorithms(op: Collective) -> tuple[str, ...]:
    """Names of the algorithms that `schedule` knows for a collective.

    Raises:
        ArithmeticInputError: for an unknown collective.
    """
    check_choice("op", op, tuple(SCHEDULES))
    return (*SCHEDULES[op], *PIPELINED.get(op, {}))


def schedule(
    op: Collective, ranks: int, algorithm: str | None = None, *, root: int = 0, segments: int | None = None
) -> Schedule:
    """The rounds of messages by which an algorithm computes a collective.

    Args:
        op: "all_reduce", "all_gather", "reduce_scatter", "broadcast" or "all_to_all".
        ranks: how many take part, any number from 1 where the algorithm allows it.
        algorithm: the first of `algorithms(op)` when left out. One message sent and received per rank and round:
            "ring", "recursive_doubling" (all_reduce: ranks beyond a power of two are folded in; reduce_scatter:
            recursive halving; both of the scattered ops: powers of two only), "rabenseifner" (halving, then doubling),
            "binomial", "scatter_allgather", "bruck", "pairwise", "tree", "double_tree", "chain". Several at once:
            "direct" (everybody to everybody), "bidirectional_ring".
        root: who broadcasts; other collectives have none.
        segments: pieces that follow one another through "tree", "double_tree" (per tree) or "chain"; 1 when left out.

    Returns:
        The schedule; without phases for a single rank.

    Raises:
        ArithmeticInputError: for an unknown name, ranks that the algorithm cannot take, a root that is no rank, or
            segments where the algorithm has none.

    Source: Thakur, Rabenseifner & Gropp 2005, "Optimization of Collective Communication Operations in MPICH"; the
        functions name further papers.
    """
    known = algorithms(op)
    chosen = known[0] if algorithm is None else algorithm
    check_choice(f"algorithm of {op}", chosen, known)
    check_count("ranks", ranks)
    check_count("root", root, minimum=0)
    if root >= ranks or (root and op != "broadcast"):
        limit = f"is no rank of {ranks}" if op == "broadcast" else f"is set, but {op} has no root"
        raise ArithmeticInputError.of("root", root, limit, f"give 0 to {ranks - 1} for a broadcast, nothing elsewhere")
    if chosen in SCHEDULES[op]:
        if segments is not None:
            remedy = f"leave it out, or use one of {', '.join(PIPELINED.get(op, {})) or 'the trees of all_reduce'}"
            raise ArithmeticInputError.of("segments", segments, f"has no meaning for {chosen}", remedy)
        made = SCHEDULES[op][chosen](ranks)
    else:
        count = 1 if segments is None else segments
        check_count("segments", count)
        made = pipelined.tree_schedule(op, chosen, PIPELINED[op][chosen](ranks), count)
    if not root:
        return made
    return made.placed([(rank + root) % ranks for rank in range(ranks)])
