"""Every algorithm gives what the library gives. Oracle: gloo's own collectives, bit for bit."""

import itertools

import pytest
import torch

from course_lib.arithmetic import collective_time
from course_lib.arithmetic.network import algorithms, hierarchical, schedule
from course_lib.distributed import LaunchError
from course_lib.distributed.collectives import (
    Tally,
    all_gather,
    all_reduce,
    all_to_all,
    broadcast,
    reduce_scatter,
    ring_all_reduce,
)

OPS = ["all_reduce", "all_gather", "reduce_scatter", "broadcast", "all_to_all"]
SIZES = [1, 7, 64, 101]
DTYPES = [torch.float32, torch.int64, torch.float64, torch.bfloat16]
OURS = {
    "all_reduce": all_reduce,
    "all_gather": all_gather,
    "reduce_scatter": reduce_scatter,
    "broadcast": broadcast,
    "all_to_all": all_to_all,
}


def contribution(size, dtype, rank):
    """Whole numbers whose sums every type holds exactly, so that the order of addition can't show."""
    return ((torch.arange(size) * 7 + 3 * rank) % 11).to(dtype)


def gloo(op, tensor, root):
    import torch.distributed as dist

    rank, ranks = dist.get_rank(), dist.get_world_size()
    if op in ("all_reduce", "reduce_scatter"):
        whole = tensor.clone()
        dist.all_reduce(whole)
        return whole if op == "all_reduce" else torch.tensor_split(whole, ranks)[rank]
    everybody = [torch.empty_like(tensor) for _ in range(ranks)]
    dist.all_gather(everybody, tensor)
    if op == "all_gather":
        return torch.stack(everybody)
    if op == "broadcast":
        return everybody[root]
    return torch.cat([torch.tensor_split(other, ranks)[rank] for other in everybody])


def known(op, ranks):
    """Schedules of all algorithms that take so many ranks, and of every way to cut the ranks into nodes."""
    for name in algorithms(op):
        if name == "recursive_doubling" and op != "all_reduce" and ranks & (ranks - 1):
            continue
        pieces = (None, 3) if name in ("tree", "double_tree", "chain") else (None,)
        for segments in pieces:
            yield schedule(op, ranks, name, segments=segments, root=ranks - 1 if op == "broadcast" else 0)
    for per_node in range(1, ranks + 1):
        if ranks % per_node == 0:
            yield hierarchical(op, per_node, ranks // per_node)


def disagreements(ranks, cases):
    """What differs from gloo: (collective, algorithm, size, type) of each."""
    import torch.distributed as dist

    wrong = []
    for op in OPS:
        plans = list(known(op, ranks))
        for size, dtype in cases:
            mine = contribution(size, dtype, dist.get_rank())
            wanted = {root: gloo(op, mine, root) for root in sorted({plan.root for plan in plans})}
            for plan in plans:
                got = OURS[op](mine.clone(), algorithm=plan)
                if not torch.equal(got, wanted[plan.root]):
                    wrong.append((op, plan.algorithm, size, dtype))
    return wrong


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 5])
def test_every_algorithm_equals_gloo(launch_ranks, ranks):
    cases = list(zip(SIZES, DTYPES, strict=True))
    assert launch_ranks(disagreements, ranks, ranks, cases) == [[]] * ranks


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [4, 5, 8])
def test_every_algorithm_equals_gloo_on_every_size_of_every_type(launch_ranks, ranks):
    cases = list(itertools.product(SIZES, DTYPES))
    assert launch_ranks(disagreements, ranks, ranks, cases) == [[]] * ranks


@pytest.mark.parametrize("ranks", [1, 2, 5])
def test_the_ring_of_the_chapter_equals_gloo(launch_ranks, ranks):
    def both():
        import torch.distributed as dist

        generator = torch.Generator().manual_seed(dist.get_rank())
        given = [torch.randn(size, generator=generator) for size in (1, 2, 30, 101)]
        return [(gloo("all_reduce", tensor, 0), ring_all_reduce(tensor)) for tensor in given]

    for pairs in launch_ranks(both, ranks):
        for wanted, got in pairs:
            torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize(
    ("op", "algorithm"),
    [
        ("all_reduce", "ring"),
        ("all_reduce", "recursive_doubling"),
        ("all_reduce", "rabenseifner"),
        ("all_gather", "ring"),
        ("all_gather", "recursive_doubling"),
        ("reduce_scatter", "ring"),
        ("reduce_scatter", "recursive_doubling"),
        ("broadcast", "binomial"),
        ("all_to_all", "pairwise"),
    ],
)
def test_the_bytes_that_the_busiest_rank_sends_are_thakur_s(launch_ranks, op, algorithm):
    ranks, bytes_ = 4, 4 * 480

    def count():
        tally = Tally()
        tensor = torch.ones(bytes_ // 4 // (ranks if op == "all_gather" else 1))
        OURS[op](tensor, algorithm=algorithm, tally=tally)
        return tally

    tallies = launch_ranks(count, ranks)
    formula = collective_time(op, bytes_, ranks, alpha_seconds=1, beta_seconds_per_byte=1, algorithm=algorithm)
    assert max(tally.bytes_sent for tally in tallies) == formula.bytes_sent_per_rank
    assert {tally.rounds for tally in tallies} == {formula.steps}


def test_strided_tensors_and_views_are_summed_in_place(launch_ranks):
    def strided():
        whole = torch.arange(24.0).view(4, 6)
        all_reduce(whole.t()[1:4])
        return whole

    doubled = torch.arange(24.0).view(4, 6)
    doubled[:, 1:4] *= 2
    assert all(torch.equal(got, doubled) for got in launch_ranks(strided, 2))


def test_what_reduce_scatter_is_given_stays_as_it_was(launch_ranks):
    def unchanged():
        given = torch.arange(6.0)
        reduce_scatter(given)
        return given

    assert all(torch.equal(got, torch.arange(6.0)) for got in launch_ranks(unchanged, 3))


def test_a_group_of_some_ranks_has_its_own_ring(launch_ranks):
    def part():
        import torch.distributed as dist

        rank = dist.get_rank()
        group = dist.new_group([1, 2])
        return all_reduce(torch.tensor([float(rank)]), group=group).item() if rank in (1, 2) else None

    assert launch_ranks(part, 3) == [None, 3.0, 3.0]


def test_a_rank_with_another_shape_is_named(launch_ranks):
    def odd_one_out():
        import torch.distributed as dist

        all_reduce(torch.ones(5 if dist.get_rank() == 2 else 6), check=True)

    with pytest.raises(LaunchError) as caught:
        launch_ranks(odd_one_out, 3)
    assert "rank 2: all_reduce, ring, root 0, (5,) of float32" in str(caught.value)
    assert "All 3 ranks failed alike" in str(caught.value)


def test_a_schedule_for_other_ranks_is_refused(launch_ranks):
    with pytest.raises(LaunchError, match="all_reduce for 4 ranks' is given to all_reduce on 2 ranks"):
        launch_ranks(lambda: all_reduce(torch.ones(3), schedule("all_reduce", 4)), 2)
    with pytest.raises(LaunchError, match="algorithm of all_reduce"):
        launch_ranks(lambda: all_reduce(torch.ones(3), "round_robin"), 2)
