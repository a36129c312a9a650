"""Collectives in stages: they compute the same, and send less between nodes."""

import pytest

from course_lib.arithmetic.collectives import ArithmeticInputError
from course_lib.arithmetic.network import hierarchical, parallel_rings_all_reduce, schedule, torus_all_reduce

from .play import wrong_ranks

OPS = ("all_reduce", "all_gather", "reduce_scatter", "broadcast", "all_to_all")


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("per_node", [1, 2, 3, 4])
@pytest.mark.parametrize("nodes", [1, 2, 3, 5, 8])
def test_two_stages_compute_the_collective(op, per_node, nodes):
    """Oracle: NumPy's sums and copies."""
    assert wrong_ranks(hierarchical(op, per_node, nodes)) == []


@pytest.mark.parametrize(
    ("op", "inner", "outer"),
    [
        ("all_reduce", "recursive_doubling", "rabenseifner"), ("all_reduce", "direct", "double_tree"),
        ("all_reduce", "bruck", "binomial"), ("all_gather", "bruck", "recursive_doubling"),
        ("reduce_scatter", "direct", "bruck"), ("broadcast", "scatter_allgather", "chain"),
        ("all_to_all", "direct", "bruck"), ("all_to_all", "bruck", "pairwise"),
    ],
)  # fmt: skip
def test_any_algorithm_may_serve_in_either_stage(op, inner, outer):
    """Oracle: NumPy's sums and copies."""
    segments = 3 if outer in ("double_tree", "chain") else None
    assert wrong_ranks(hierarchical(op, 4, 4, inner=inner, outer=outer, segments=segments)) == []


@pytest.mark.parametrize("op", OPS)
def test_a_third_level_is_a_stage_of_two(op):
    """Oracle: NumPy, for 2 × 3 × 2 ranks."""
    assert wrong_ranks(hierarchical(op, 2, 6, outer=hierarchical(op, 3, 2))) == []


def crossing(ours, per_node):
    """Bytes of a 1-byte buffer that one node sends to others, the busiest node."""
    sent = dict.fromkeys(range(ours.ranks // per_node), 0.0)
    for messages in ours.rounds():
        for m in messages:
            if m.source // per_node != m.target // per_node:
                sent[m.source // per_node] += len(m.chunks) / ours.chunks
    return max(sent.values())


def test_a_node_sends_one_buffer_whatever_it_holds_and_ranks_share_the_sending():
    """Oracle: by hand: the flat ring sends 2(p-1)/p from one rank, two stages 2(m-1)/m from all d together."""
    flat, staged = schedule("all_reduce", 32, "ring"), hierarchical("all_reduce", 8, 4)
    assert crossing(flat, 8) == pytest.approx(2 * 31 / 32)
    assert crossing(staged, 8) == pytest.approx(2 * 3 / 4)
    assert crossing(schedule("all_reduce", 32, "recursive_doubling"), 8) == pytest.approx(8 * 2)


@pytest.mark.parametrize(("per_node", "nodes"), [(8, 16), (4, 4), (2, 32)])
def test_steps_add_up_where_a_flat_rings_multiply(per_node, nodes):
    """Oracle: AWS Neuron documentation: O(X) + O(Y) against O(X * Y)."""
    assert hierarchical("all_reduce", per_node, nodes).steps == 2 * (per_node - 1) + 2 * (nodes - 1)


def test_an_all_to_all_in_two_stages_sends_fewer_and_larger_messages():
    """Oracle: by hand: d - 1 + m - 1 messages; (d-1)/d + (m-1)/m of the buffer."""
    ours = hierarchical("all_to_all", 8, 4)
    assert ours.steps == 7 + 3
    assert max(ours.bytes_sent(1.0)) == pytest.approx(7 / 8 + 3 / 4)


@pytest.mark.parametrize("dims", [(4,), (4, 4), (3, 3), (2, 2, 2), (3, 3, 3), (1, 1), (1,)])
def test_a_torus_with_all_links_computes_the_all_reduce(dims):
    """Oracle: NumPy's sums."""
    assert wrong_ranks(torus_all_reduce(dims)) == []


def test_a_torus_with_all_links_sends_to_every_neighbor_in_every_round():
    """Oracle: by hand: a 4 x 4 torus has 4 neighbors, two in each dimension."""
    for messages in torus_all_reduce((4, 4)).rounds():
        assert {m.target for m in messages if m.source == 5} == {4, 6, 1, 9}


@pytest.mark.parametrize("dims", [(2, 3), (4, 2, 3), (1, 5)])
def test_a_torus_of_any_shape_does_it_with_one_link_at_a_time(dims):
    """Oracle: NumPy's sums; steps 2 (size - 1) for each dimension."""
    ours = torus_all_reduce(dims, all_links=False)
    assert wrong_ranks(ours) == []
    assert ours.steps == 2 * sum(size - 1 for size in dims)
    assert ours.ports() == 1


@pytest.mark.parametrize(("per_node", "nodes"), [(1, 1), (1, 4), (4, 1), (3, 5), (8, 2)])
def test_parallel_rings_compute_the_all_reduce(per_node, nodes):
    """Oracle: NumPy's sums."""
    assert wrong_ranks(parallel_rings_all_reduce(per_node, nodes)) == []


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: hierarchical("all_reduce", 0, 4), "per_node=0"),
        (lambda: hierarchical("all_reduce", 4, 4, outer=schedule("all_reduce", 8)), "for 8 ranks"),
        (lambda: hierarchical("all_reduce", 4, 4, outer=schedule("all_gather", 4)), "all_gather for 4"),
        (lambda: hierarchical("all_reduce", 6, 4, inner="recursive_doubling"), "power of two"),
        (lambda: hierarchical("all_reduce", 4, 4, inner="rabenseifner"), "reduce_scatter"),
        (lambda: hierarchical("sum", 4, 4), "'all_reduce'"),
        (lambda: torus_all_reduce((4, 2)), "one size"),
        (lambda: torus_all_reduce(()), "empty"),
        (lambda: torus_all_reduce((4, 0)), "dims=0"),
        (lambda: parallel_rings_all_reduce(2, 0), "nodes=0"),
    ],
)
def test_what_does_not_fit_together_is_refused(call, says):
    """Oracle: the value and the way out stand in the message."""
    with pytest.raises(ArithmeticInputError, match="Remedy") as raised:
        call()
    assert says in str(raised.value)
