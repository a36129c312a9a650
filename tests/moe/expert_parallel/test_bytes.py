"""Bytes of the exchange. Oracles: what the operating system counts; NumPy, which counts the routing's rows."""

import sys

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh

from course_lib.arithmetic import expert_exchange, expert_exchange_of
from course_lib.distributed import sent_bytes
from course_lib.moe import MoEConfig, ParallelExperts
from course_lib.moe.experts import Experts
from tests.moe.expert_parallel.parallel import slow

HIDDEN, EXPERTS, TOKENS = 512, 12, 1200
HEADERS = 0.01  # share of a large message
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what a process writes")


def table(kind, ranks):
    """(ranks, experts): rows of each expert from each rank."""
    if kind == "balanced":
        return np.full((ranks, EXPERTS), TOKENS // EXPERTS)
    chosen = np.random.default_rng(ranks).choice(EXPERTS, p=[0.45] + [0.05] * 11, size=(ranks, TOKENS))
    return np.stack([np.bincount(row, minlength=EXPERTS) for row in chosen])


def sent(counts, exchange, capacity):
    """Bytes of a forward and of a backward pass on this rank."""
    config = MoEConfig(hidden_size=HIDDEN, expert_hidden_size=8, experts=EXPERTS)
    experts = ParallelExperts(Experts(config), init_device_mesh("cpu", (dist.get_world_size(),)), exchange)
    experts.capacity = capacity
    mine = torch.from_numpy(counts[dist.get_rank()])
    x = torch.randn(int(mine.sum()), HIDDEN, requires_grad=True)
    experts(x, mine).sum().backward()  # opens connections
    out = []
    forward = sent_bytes(lambda: out.append(experts(x, mine)))
    return forward, sent_bytes(lambda: out[0].sum().backward())


@LINUX
@pytest.mark.parametrize(
    ("kind", "ranks"),
    [
        slow("balanced", 2),
        slow("balanced", 3),
        slow("balanced", 4),
        slow("skewed", 2),
        ("skewed", 3),
        slow("skewed", 4),
    ],
)
def test_variable_sizes_send_what_the_formula_says(launch_ranks, kind, ranks):
    counts = table(kind, ranks)
    rows = counts.reshape(ranks, ranks, -1).sum(2)  # (ranks, ranks), from the row's rank to the column's
    expected = expert_exchange_of(rows.tolist(), hidden_size=HIDDEN, experts=EXPERTS, bytes_per_element=4)
    for (forward, backward), formula in zip(launch_ranks(sent, ranks, counts, "variable", 0), expected, strict=True):
        assert forward == pytest.approx(formula.forward_bytes, rel=HEADERS)
        assert backward == pytest.approx(formula.backward_bytes, rel=HEADERS)
        if kind == "balanced":
            assert formula == expert_exchange(
                tokens=TOKENS,
                experts_per_token=1,
                hidden_size=HIDDEN,
                experts=EXPERTS,
                ranks=ranks,
                bytes_per_element=4,
            )


@LINUX
def test_equal_blocks_send_their_capacity_full_or_not(launch_ranks):
    counts = table("skewed", 3)
    capacity = int(counts.max())
    formula = expert_exchange(
        tokens=TOKENS,
        experts_per_token=1,
        hidden_size=HIDDEN,
        experts=EXPERTS,
        ranks=3,
        bytes_per_element=4,
        capacity=capacity,
    )
    for forward, backward in launch_ranks(sent, 3, counts, "capacity", capacity):
        assert forward == pytest.approx(formula.forward_bytes, rel=HEADERS)
        assert backward == pytest.approx(formula.backward_bytes, rel=HEADERS)
