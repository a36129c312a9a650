"""Several rings at once, each through other network cards: what NCCL calls channels."""

from course_lib.arithmetic.errors import check_count
from course_lib.arithmetic.network.message import Schedule
from course_lib.arithmetic.network.reducing import ring_all_reduce, side_by_side


def parallel_rings_all_reduce(per_node: int, nodes: int) -> Schedule:
    """An all-reduce on `per_node` rings through all ranks, each with an equal share of the buffer.

    One ring enters and leaves a node once, through one card each way. Here ring i enters each node at local rank i and
    leaves at the one before it, so that every card works.

    Args:
        per_node: ranks of one node; rank = node * per_node + local rank.
        nodes: how many nodes.

    Returns:
        The schedule.

    Raises:
        ArithmeticInputError: when a number is no count.
    """
    check_count("per_node", per_node)
    check_count("nodes", nodes)
    ring = ring_all_reduce(per_node * nodes)
    orders = [
        [node * per_node + (first + i) % per_node for node in range(nodes) for i in range(per_node)]
        for first in range(per_node)
    ]
    return side_by_side("parallel_rings", *(ring.placed(order) for order in orders))
