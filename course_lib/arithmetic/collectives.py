"""Time of a collective under the alpha-beta model, and the factor between algorithm and bus bandwidth."""

import math
from dataclasses import dataclass
from typing import Literal

from course_lib.arithmetic.errors import ArithmeticInputError, check_choice, check_count, check_not_negative

Collective = Literal["all_reduce", "all_gather", "reduce_scatter", "broadcast", "all_to_all"]
Algorithm = Literal["ring", "recursive_doubling", "rabenseifner", "binomial", "scatter_allgather", "pairwise"]

ALGORITHMS: dict[Collective, tuple[Algorithm, ...]] = {
    "all_reduce": ("ring", "recursive_doubling", "rabenseifner"),
    "all_gather": ("ring", "recursive_doubling"),
    "reduce_scatter": ("ring", "recursive_doubling"),
    "broadcast": ("binomial", "scatter_allgather"),
    "all_to_all": ("pairwise",),
}


@dataclass(frozen=True)
class CollectiveTime:
    """What one collective costs each rank.

    Args:
        seconds: latency_seconds + transfer_seconds.
        latency_seconds: steps * alpha.
        transfer_seconds: bytes_sent_per_rank * beta.
        steps: messages that a rank sends one after another.
        bytes_sent_per_rank: bytes that the busiest rank sends.
    """

    seconds: float
    latency_seconds: float
    transfer_seconds: float
    steps: int
    bytes_sent_per_rank: float


def collective_time(
    op: Collective,
    bytes_: float,
    ranks: int,
    *,
    alpha_seconds: float,
    beta_seconds_per_byte: float,
    algorithm: Algorithm | None = None,
) -> CollectiveTime:
    """Time of a collective: alpha for each message, beta for each byte, arithmetic not counted.

    Args:
        op: "all_reduce", "all_gather", "reduce_scatter", "broadcast" or "all_to_all".
        bytes_: size n of the whole buffer: the vector that is reduced or broadcast, the gathered result, the input
            that is scattered, or all that one rank exchanges (as nccl-tests counts).
        ranks: how many take part, p.
        alpha_seconds: start-up time of one message.
        beta_seconds_per_byte: inverse bandwidth of one rank's link.
        algorithm: the first of those below when left out. all_reduce: "ring" 2(p-1)a + 2(p-1)/p n b,
            "recursive_doubling" lg p (a + n b), "rabenseifner" 2 lg p a + 2(p-1)/p n b. all_gather and
            reduce_scatter: "ring" (p-1)a + (p-1)/p n b, "recursive_doubling" lg p a + (p-1)/p n b. broadcast:
            "binomial" lg p (a + n b), "scatter_allgather" (lg p + p - 1)a + 2(p-1)/p n b. all_to_all: "pairwise"
            (p-1)a + (p-1)/p n b.

    Returns:
        Time and what it is made of; zero for a single rank.

    Raises:
        ArithmeticInputError: an unknown collective or algorithm, a negative number, or ranks that are no power of
            two where an algorithm pairs them.

    Source: Thakur, Rabenseifner & Gropp 2005, "Optimization of Collective Communication Operations in MPICH".
    """
    check_choice("op", op, tuple(ALGORITHMS))
    check_count("ranks", ranks)
    check_not_negative("bytes_", bytes_)
    check_not_negative("alpha_seconds", alpha_seconds)
    check_not_negative("beta_seconds_per_byte", beta_seconds_per_byte)
    chosen = ALGORITHMS[op][0] if algorithm is None else algorithm
    check_choice(f"algorithm of {op}", chosen, ALGORITHMS[op])
    if chosen in ("recursive_doubling", "rabenseifner") and ranks & (ranks - 1):
        raise ArithmeticInputError.of(
            "ranks", ranks, f"must be a power of two for {chosen}", "use algorithm='ring', or 2, 4, 8, ... ranks"
        )
    steps, sent = _steps_and_bytes(op, chosen, ranks, bytes_)
    latency, transfer = steps * alpha_seconds, sent * beta_seconds_per_byte
    return CollectiveTime(latency + transfer, latency, transfer, steps, sent)


def _steps_and_bytes(op: Collective, algorithm: Algorithm, p: int, n: float) -> tuple[int, float]:
    rounds = math.ceil(math.log2(p))
    share = (p - 1) / p
    if op in ("all_gather", "reduce_scatter"):
        return (p - 1 if algorithm == "ring" else rounds), share * n
    if op == "all_to_all":
        return p - 1, share * n
    if algorithm in ("recursive_doubling", "binomial"):
        return rounds, rounds * n
    steps = {"ring": 2 * (p - 1), "rabenseifner": 2 * rounds, "scatter_allgather": rounds + p - 1}[algorithm]
    return steps, 2 * share * n


def bus_bandwidth_factor(op: Collective, ranks: int, *, in_network: bool = False) -> float:
    """Bus bandwidth over algorithm bandwidth: what nccl-tests multiplies size / time by.

    The result compares with the link's own bandwidth whatever the number of ranks.

    Args:
        op: the collective.
        ranks: how many take part, n.
        in_network: switches do the reduction (NVLink SHARP); all_reduce only.

    Returns:
        2(n-1)/n for all_reduce, (n-1)/n for all_gather, reduce_scatter and all_to_all, 1 for broadcast, and
        (n-1)/(n+1) for a reduction in the network.

    Raises:
        ArithmeticInputError: for an unknown collective, or in_network with another one than all_reduce.

    Source: NVIDIA nccl-tests, doc/PERFORMANCE.md.
    """
    check_choice("op", op, tuple(ALGORITHMS))
    check_count("ranks", ranks)
    if in_network:
        if op != "all_reduce":
            raise ArithmeticInputError.of("in_network", True, f"is not defined for {op}", "use op='all_reduce'")
        return (ranks - 1) / (ranks + 1)
    if op == "broadcast":
        return 1.0
    return (2 if op == "all_reduce" else 1) * (ranks - 1) / ranks
