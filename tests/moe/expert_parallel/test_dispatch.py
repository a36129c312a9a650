"""Experts on several ranks equal experts on one. Oracles: `Experts` in this process; transformers' Mixtral block."""

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh

from course_lib.moe import MoEConfig, MoELayer, share_experts
from course_lib.moe.expert_parallel import ParallelExperts, on_their_ranks
from course_lib.moe.expert_parallel.dispatch import by_expert
from course_lib.moe.experts import Experts
from course_lib.runtime import RankFailed
from tests.moe.expert_parallel.parallel import slow

EXPERTS, HIDDEN = 12, 8
CONFIG = MoEConfig(hidden_size=HIDDEN, expert_hidden_size=16, experts=EXPERTS)


def routings(ranks):
    """Name → (ranks, experts) rows of each expert from each rank."""
    random = torch.randint(0, 9, (ranks, EXPERTS), generator=torch.Generator().manual_seed(ranks))
    hot, silent, one = (torch.zeros(ranks, EXPERTS, dtype=torch.int64) for _ in range(3))
    hot[:, -1] = 20
    silent[0] = 3
    one[-1, 0] = 1
    return {"random": random, "all for the last expert": hot, "only rank 0 has rows": silent, "one row": one}


def whole_experts(config=CONFIG):
    torch.manual_seed(0)
    return Experts(config)


def rows_of(rank, counts):
    return torch.randn(int(counts.sum()), HIDDEN, generator=torch.Generator().manual_seed(rank))


def shared(exchange, capacity, config):
    """Output, gradient of the rows and of this rank's experts for every routing."""
    ranks, rank, results = dist.get_world_size(), dist.get_rank(), {}
    mesh = init_device_mesh("cpu", (ranks,), mesh_dim_names=("expert",))
    experts = ParallelExperts(whole_experts(config), mesh, exchange)
    experts.capacity = capacity
    for name, table in routings(ranks).items():
        x = rows_of(rank, table[rank]).requires_grad_()
        out = experts(x, table[rank])
        (out * x.detach().sin()).sum().backward()
        gradients = {n: p.grad.full_tensor() for n, p in experts.named_parameters()}
        results[name] = out.detach(), x.grad, gradients
        experts.zero_grad()
    return results


@pytest.mark.parametrize("ranks", [slow(1), slow(2), 3, slow(4)])
@pytest.mark.parametrize("exchange", ["variable", "capacity"])
def test_outputs_and_gradients_equal_experts_in_one_process(launch_ranks, exchange, ranks):
    """Oracle: the rows of all ranks, one rank after the other, through `Experts` without torch.distributed."""
    results = launch_ranks(shared, ranks, exchange, 20, CONFIG)
    for name, table in routings(ranks).items():
        experts = whole_experts()
        for rank in range(ranks):
            x = rows_of(rank, table[rank]).requires_grad_()
            out = experts(x, table[rank])
            (out * x.detach().sin()).sum().backward()
            torch.testing.assert_close(results[rank][name][0], out.detach(), msg=lambda m, n=name: f"{n}: {m}")
            torch.testing.assert_close(results[rank][name][1], x.grad, msg=lambda m, n=name: f"{n}: {m}")
        for parameter, value in experts.named_parameters():
            torch.testing.assert_close(results[0][name][2][parameter], value.grad, msg=lambda m, n=name: f"{n}: {m}")


def test_the_loop_takes_part_where_a_rank_has_no_rows(launch_ranks):
    """Oracle: that it ends; a rank whose backward pass left the exchange out would hang the others."""
    loop = MoEConfig(hidden_size=HIDDEN, expert_hidden_size=16, experts=EXPERTS, execution="loop", gated=False)
    results = launch_ranks(shared, 3, "variable", 0, loop)
    assert results[1]["only rank 0 has rows"][0].shape == (0, HIDDEN)


def test_rows_are_sorted_by_expert_and_then_by_sender():
    """Oracle: NumPy-like bookkeeping by hand: (sender, expert) of each row."""
    arriving = torch.tensor([[2, 0, 1], [1, 3, 0]])
    labels = [(s, e) for s, row in enumerate(arriving.tolist()) for e, n in enumerate(row) for _ in range(n)]
    assert [labels[i] for i in by_expert(arriving)] == sorted(labels, key=lambda label: (label[1], label[0]))


def test_a_shared_layer_equals_transformers_mixtral_block(launch_ranks):
    """Oracle: transformers' MixtralSparseMoeBlock with the same weights over all tokens."""
    from transformers import MixtralConfig
    from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

    torch.manual_seed(1)
    block = MixtralSparseMoeBlock(
        MixtralConfig(hidden_size=HIDDEN, intermediate_size=16, num_local_experts=4, num_experts_per_tok=2)
    )
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    weights = {
        "router.weight": block.gate.weight,
        "experts.up": block.experts.gate_up_proj,
        "experts.down": block.experts.down_proj,
    }
    weights = {name: value.detach().clone() for name, value in weights.items()}
    x = torch.randn(4, 6, HIDDEN, requires_grad=True)

    def of_rank(weights, x):
        layer = MoELayer(MoEConfig(hidden_size=HIDDEN, expert_hidden_size=16, experts=4))
        layer.load_state_dict(weights)
        share_experts(layer, init_device_mesh("cpu", (2,)))
        mine = x.chunk(2)[dist.get_rank()].clone().requires_grad_()  # (2, 6, hidden)
        out = layer(mine)
        out.square().sum().backward()
        return out.detach(), mine.grad, layer.experts.up.grad.full_tensor(), layer.experts.down.grad.full_tensor()

    results = launch_ranks(of_rank, 2, weights, x.detach())
    expected = block(x)
    expected = expected[0] if isinstance(expected, tuple) else expected
    expected.square().sum().backward()
    torch.testing.assert_close(torch.cat([r[0] for r in results]), expected.detach())
    torch.testing.assert_close(torch.cat([r[1] for r in results]), x.grad)
    torch.testing.assert_close(results[0][2], block.experts.gate_up_proj.grad)
    torch.testing.assert_close(results[0][3], block.experts.down_proj.grad)


def test_more_rows_than_the_capacity_are_refused_with_the_number(launch_ranks):
    with pytest.raises(RankFailed, match="rows of one expert=20 are more than the capacity of 19"):
        launch_ranks(shared, 2, "capacity", 19, CONFIG)


def test_a_rank_that_fails_at_its_experts_ends_all(launch_ranks):
    """Oracle: that it ends at all, and in time: the other rank waits in an exchange for ever."""

    def of_rank():
        def work(rows, counts):
            if dist.get_rank() == 1:
                raise RuntimeError("out of luck")
            return rows

        on_their_ranks(torch.ones(4, HIDDEN), torch.tensor([2, 2]), work)

    with pytest.raises(RankFailed, match="out of luck"):
        launch_ranks(of_rank, 2)
