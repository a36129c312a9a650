"""Counted all-to-alls. Oracle: the splits that were asked for, times the bytes of a row."""

import pytest
import torch
import torch.distributed as dist

from course_lib.runtime import RankFailed

SPLITS = [[1, 2, 0], [3, 0, 4], [5, 0, 6]]  # rows from the rank of the row to the rank of the column


def counted():
    from torch.distributed._functional_collectives import all_to_all_single_autograd

    from course_lib.moe.expert_parallel import exchange_rows
    from course_lib.runtime.exchanges import Exchanges

    rank = dist.get_rank()
    sends, receives = SPLITS[rank], [row[rank] for row in SPLITS]
    with Exchanges(also=("allreduce",)) as exchanges:
        x = torch.ones(sum(sends), 4, requires_grad=True)
        exchange_rows(x, sends, receives).square().sum().backward()  # forward, then backward
        dist.all_to_all_single(torch.empty(3), torch.ones(3))
        pieces = [torch.ones(5, dtype=torch.int64) for _ in range(3)]
        dist.all_to_all([torch.empty(5, dtype=torch.int64) for _ in range(3)], pieces)
        dist.all_reduce(torch.ones(1))
        y = torch.ones(sum(sends), 4, requires_grad=True)
        all_to_all_single_autograd(y, receives, sends, dist.group.WORLD).sum().backward()
    return [(exchange.to_others, exchange.kept) for exchange in exchanges.all], exchanges.bytes_sent


def test_every_all_to_all_is_counted_forward_and_backward(launch_ranks):
    for rank, (found, total) in enumerate(launch_ranks(counted, 3)):
        sends, receives = SPLITS[rank], [row[rank] for row in SPLITS]
        both = [[16 * n for n in sends], [16 * n for n in receives]]
        sizes = [*both, [4] * 3, [8 * 5] * 3, *both]
        away = [tuple(0 if to == rank else size for to, size in enumerate(one)) for one in sizes]
        assert found == [(others, one[rank]) for others, one in zip(away, sizes, strict=True)]
        assert total == sum(sum(others) for others in away)


def test_another_collective_is_refused(launch_ranks):
    def gathers():
        from course_lib.runtime.exchanges import Exchanges

        with Exchanges():
            dist.all_gather([torch.empty(1)] * 2, torch.ones(1))

    with pytest.raises(RankFailed, match=r"allgather of torch.* was called, where only all_to_all_single"):
        launch_ranks(gathers, 2)


def test_a_library_that_has_the_answer_is_refused(launch_ranks):
    def borrows():
        from course_lib.moe.expert_parallel import exchange_counts
        from course_lib.runtime.exchanges import Exchanges

        with Exchanges(off_limits=("course_lib.moe.expert_parallel",)):
            exchange_counts(torch.ones(2, dtype=torch.int64))

    with pytest.raises(RankFailed, match="exchange_counts was called, where your own code is asked for"):
        launch_ranks(borrows, 2)
