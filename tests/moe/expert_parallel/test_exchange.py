"""The exchange of rows and its gradient. Oracle: NumPy, which cuts and joins what all ranks hold."""

import numpy as np
import pytest
import torch
import torch.distributed as dist

from course_lib.moe.expert_parallel import exchange_blocks, exchange_counts, exchange_rows
from tests.moe.expert_parallel.parallel import slow

HIDDEN = 3
# (ranks, ranks): rows from the rank of the row to the rank of the column
TABLES = {
    "one rank": [[2]],
    "two ranks": [[1, 2], [3, 4]],
    "uneven": [[0, 5, 1], [2, 0, 0], [1, 1, 7]],
    "rank 1 sends nothing": [[2, 3, 1], [0, 0, 0], [1, 1, 1]],
    "rank 2 receives nothing": [[2, 3, 0], [1, 1, 0], [4, 1, 0]],
    "all to one rank": [[0, 0, 0, 4], [0, 0, 0, 1], [0, 0, 0, 2], [0, 0, 0, 3]],
    "nothing at all": [[0, 0], [0, 0]],
}


def rows_of(rank, table):
    """(rows, hidden) of numbers that occur once in all ranks."""
    count = sum(table[rank])
    return np.arange(count * HIDDEN, dtype=np.float32).reshape(count, HIDDEN) + 1000 * rank


def arrived(hold, table):
    """Oracle: what each rank holds after the exchange."""
    cut = [np.split(have, np.cumsum(row)[:-1]) for have, row in zip(hold, table, strict=True)]
    return [np.concatenate([pieces[rank] for pieces in cut]) for rank in range(len(table))]


def there_and_back(tables):
    """Each table's exchange, and the gradient of a sum in which every element counts by its place."""
    rank, results = dist.get_rank(), {}
    for name, table in tables.items():
        x = torch.from_numpy(rows_of(rank, table)).requires_grad_()
        receives = [row[rank] for row in table]
        out = exchange_rows(x, table[rank], receives)
        (out * torch.from_numpy(rows_of(rank, np.transpose(table).tolist()))).sum().backward()
        results[name] = out.detach().numpy(), x.grad.numpy()
    return results


@pytest.mark.parametrize("ranks", [1, slow(2), 3, slow(4)])
def test_rows_arrive_in_the_order_of_their_senders_and_gradients_go_back(launch_ranks, ranks):
    tables = {name: table for name, table in TABLES.items() if len(table) == ranks}
    results = launch_ranks(there_and_back, ranks, tables)
    for name, table in tables.items():
        back = np.transpose(table).tolist()
        out = arrived([rows_of(rank, table) for rank in range(ranks)], table)
        gradients = arrived([rows_of(rank, back) for rank in range(ranks)], back)
        for rank in range(ranks):
            np.testing.assert_array_equal(results[rank][name][0], out[rank], err_msg=name)
            np.testing.assert_array_equal(results[rank][name][1], gradients[rank], err_msg=name)


def test_counts_and_blocks_are_transposed(launch_ranks):
    """Oracle: NumPy's transpose."""
    counts = np.arange(18).reshape(3, 6)
    blocks = np.random.default_rng(0).standard_normal((3, 3, 2, 4))

    def exchanged(counts, blocks):
        rank = dist.get_rank()
        x = torch.from_numpy(blocks[rank]).to(torch.bfloat16).requires_grad_()
        out = exchange_blocks(x)
        out.sum().backward()
        return (
            exchange_counts(torch.from_numpy(counts[rank])).numpy(),
            out.detach().float().numpy(),
            x.grad.float().numpy(),
        )

    for rank, (told, out, gradient) in enumerate(launch_ranks(exchanged, 3, counts, blocks)):
        np.testing.assert_array_equal(told, counts.reshape(3, 3, 2)[:, rank])
        np.testing.assert_array_equal(out, torch.from_numpy(blocks[:, rank]).bfloat16().float().numpy())
        np.testing.assert_array_equal(gradient, np.ones_like(gradient))
