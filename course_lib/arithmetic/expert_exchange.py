"""Bytes that expert parallelism sends: tokens to the ranks of their experts, and the experts' outputs back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from course_lib.arithmetic.errors import ArithmeticInputError, check_count, check_positive


@dataclass(frozen=True)
class ExpertExchange:
    """What one rank sends for one layer and one forward and backward pass.

    Args:
        dispatch_bytes: rows for experts of other ranks; the backward pass of combine sends as much.
        combine_bytes: outputs for tokens of other ranks; the backward pass of dispatch sends as much.
        count_bytes: how many rows each expert of another rank will get, 8 bytes a number; 0 with fixed capacity.
    """

    dispatch_bytes: float
    combine_bytes: float
    count_bytes: float = 0.0

    @property
    def forward_bytes(self) -> float:
        """Sent in the forward pass."""
        return self.dispatch_bytes + self.combine_bytes + self.count_bytes

    @property
    def backward_bytes(self) -> float:
        """Sent in the backward pass, which knows the counts."""
        return self.dispatch_bytes + self.combine_bytes


def expert_exchange(
    *,
    tokens: int,
    experts_per_token: int,
    hidden_size: int,
    experts: int,
    ranks: int,
    bytes_per_element: float = 2.0,
    capacity: int | None = None,
) -> ExpertExchange:
    """Bytes that each rank sends when every expert is asked equally often, or has blocks of equal size.

    Of tokens * k rows, (P - 1) / P go to other ranks: dispatch = combine = tokens * k * hidden * bytes * (P - 1) / P.
    With a capacity C the rows are experts * C, full or not, and no counts are sent.

    Args:
        tokens: of one rank.
        experts_per_token: k.
        hidden_size: of a token.
        experts: of all ranks together.
        ranks: that share the experts, P; must divide them.
        bytes_per_element: 2 for bf16, 4 for fp32.
        capacity: rows of each expert's block from one rank; None for variable sizes.

    Raises:
        ArithmeticInputError: for a number out of range, or experts that the ranks can't share equally.

    Source: Lepikhin et al. 2020 (arXiv:2006.16668) section 3.3; Fedus et al. 2021 (arXiv:2101.03961) section 5.4.
    """
    for name, value in (("tokens", tokens), ("experts_per_token", experts_per_token), ("hidden_size", hidden_size)):
        check_count(name, value)
    check_count("experts", experts)
    check_count("ranks", ranks)
    if experts % ranks:
        raise ArithmeticInputError.of("experts", experts, f"can't be shared equally by {ranks} ranks", "use a divisor")
    check_positive("bytes_per_element", bytes_per_element)
    if capacity is not None:
        check_count("capacity", capacity)
    rows = tokens * experts_per_token if capacity is None else experts * capacity
    away = (ranks - 1) / ranks
    one_way = rows * hidden_size * bytes_per_element * away
    return ExpertExchange(one_way, one_way, 8 * experts * away if capacity is None else 0.0)


def expert_exchange_of(
    rows: Sequence[Sequence[int]], *, hidden_size: int, experts: int, bytes_per_element: float = 2.0
) -> list[ExpertExchange]:
    """Bytes that each rank sends for a routing as it is, balanced or not.

    Args:
        rows: (ranks, ranks), tokens that the rank of the row has for experts of the rank of the column.
        hidden_size, experts, bytes_per_element: as in `expert_exchange`.

    Returns:
        One for each rank: what it dispatches are the other columns of its row, what it combines the other rows of its
        column. A rank with a hot expert sends back what all others have sent it.

    Raises:
        ArithmeticInputError: for rows that are no square of counts.
    """
    ranks = len(rows)
    check_count("ranks", ranks)
    check_count("hidden_size", hidden_size)
    check_count("experts", experts)
    check_positive("bytes_per_element", bytes_per_element)
    for row in rows:
        if len(row) != ranks:
            raise ArithmeticInputError.of(
                "rows", len(row), f"must be {ranks} for each of {ranks} ranks", "give a square"
            )
        for value in row:
            check_count("rows", value, minimum=0)
    size = hidden_size * bytes_per_element
    return [
        ExpertExchange(
            size * (sum(rows[rank]) - rows[rank][rank]),
            size * (sum(row[rank] for row in rows) - rows[rank][rank]),
            8 * experts * (ranks - 1) / ranks,
        )
        for rank in range(ranks)
    ]
