"""Trees whose segments follow one another."""

import pytest

from course_lib.arithmetic.network import Switch, price, schedule, verify
from course_lib.arithmetic.network.pipelined import two_trees


@pytest.mark.parametrize("p", range(2, 40))
def test_both_of_two_trees_reach_every_rank(p):
    """Oracle: walking up from any rank ends at the root; no rank has more than two children."""
    for parents in two_trees(p):
        roots = [rank for rank in range(p) if parents[rank] == rank]
        assert len(roots) == 1
        assert max(sum(up == rank for up in parents) for rank in range(p)) <= 3  # the root counts itself
        for rank in range(p):
            seen = rank
            for _ in range(p):
                seen = parents[seen]
            assert seen == roots[0]


@pytest.mark.parametrize("p", range(2, 40))
def test_a_rank_has_children_in_one_of_two_trees_only(p):
    """Oracle: Sanders, Speck & Träff 2009; with an odd number of ranks, rank 0 is the one exception."""
    inner = [{parent for rank, parent in enumerate(parents) if parent != rank} for parents in two_trees(p)]
    assert inner[0] & inner[1] <= ({0} if p % 2 else set())


@pytest.mark.parametrize(("algorithm", "buffers"), [("tree", 3), ("double_tree", 2)])
@pytest.mark.parametrize("p", [8, 32, 128])
def test_two_trees_send_two_buffers_where_one_sends_three(algorithm, buffers, p):
    """Oracle: a rank with children in a tree sends its share up once and down twice; a leaf sends it up."""
    ours = schedule("all_reduce", p, algorithm, segments=8)
    assert max(ours.bytes_sent(1.0)) == pytest.approx(buffers)


@pytest.mark.parametrize("segments", [1, 2, 5, 16])
@pytest.mark.parametrize("p", [2, 3, 8, 13])
def test_a_chain_takes_a_round_for_each_segment_and_each_further_rank(p, segments):
    """Oracle: a pipeline of p - 1 stages fills once."""
    assert schedule("broadcast", p, "chain", segments=segments).steps == p - 2 + segments


@pytest.mark.parametrize("p", [8, 33, 128])
@pytest.mark.parametrize("segments", [16, 64])
def test_two_trees_come_near_the_bandwidth_of_a_ring(p, segments):
    """Oracle: 4 rounds a segment are the least, as a rank sends 4 of each; the pipeline's filling comes on top."""
    steps = schedule("all_reduce", p, "double_tree", segments=segments).steps
    assert 4 * segments <= steps <= 1.2 * 4 * segments + 4 * p.bit_length()


def test_more_segments_pay_for_large_buffers_only():
    """Oracle: one message of n bytes against s of n / s: alpha s times, beta n once."""
    few, many = (schedule("all_reduce", 16, "double_tree", segments=segments) for segments in (1, 64))
    wires = Switch(16, 1e10, 1e-5)
    assert price(few, wires).seconds(1e4) < price(many, wires).seconds(1e4)
    assert price(many, wires).seconds(1e9) < 0.5 * price(few, wires).seconds(1e9)


@pytest.mark.parametrize("p", [64, 100])
def test_a_large_pipelined_tree_is_still_an_all_reduce(p):
    """Oracle: sets of contributions."""
    verify(schedule("all_reduce", p, "double_tree", segments=5))
    verify(schedule("broadcast", p, "tree", segments=5, root=7))
