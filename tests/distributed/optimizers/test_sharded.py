"""Optimizers on DTensor parameters over real processes. Oracle: the same steps on whole tensors in one process."""

import pytest
import torch
from torch import nn

from course_lib.distributed.optimizers import Lamb, Lars, Lion, NonFiniteGradientError, decay_groups

SETTINGS = {
    "lamb": lambda groups: Lamb(groups, 0.05),
    "lion": lambda groups: Lion(groups, 0.01),
    "lars": lambda groups: Lars(groups, 5.0, weight_decay=0.01),
}


def small_model(dtype=torch.float64):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.LayerNorm(7), nn.Linear(7, 3)).to(dtype)  # no side divides by 2


def steps(model, optimizer, count=4, start=0):
    """Every rank sees the same rows, so that the mean gradient over ranks is the single process's."""
    for step in range(start, start + count):
        x = torch.randn(6, 5, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    return model


def whole(model):
    return {
        name: p.full_tensor().detach() if hasattr(p, "full_tensor") else p.detach()
        for name, p in model.named_parameters()
    }


def fsdp(name, replicas, shards):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    sizes, names = ((replicas, shards), ("replicas", "shards")) if replicas > 1 else ((shards,), ("shards",))
    mesh = init_device_mesh("cpu", sizes, mesh_dim_names=names)
    model = small_model()
    fully_shard(model[0], mesh=mesh)
    fully_shard(model, mesh=mesh)
    return whole(steps(model, SETTINGS[name](decay_groups(model, 0.01))))


def tensor_parallel(name):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    model = nn.Sequential(nn.Linear(5, 8), nn.GELU(), nn.Linear(8, 3)).double()
    torch.manual_seed(0)
    for p in model.parameters():
        nn.init.normal_(p)
    mesh = init_device_mesh("cpu", (2,))
    model = parallelize_module(model, mesh, {"0": ColwiseParallel(), "2": RowwiseParallel()})
    return whole(steps(model, SETTINGS[name](model.parameters())))


def tensor_parallel_alone(name):
    model = nn.Sequential(nn.Linear(5, 8), nn.GELU(), nn.Linear(8, 3)).double()
    torch.manual_seed(0)
    for p in model.parameters():
        nn.init.normal_(p)
    return whole(steps(model, SETTINGS[name](model.parameters())))


def resume(name):
    """State through torch.distributed.checkpoint's state dict into a fresh model and optimizer."""
    from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
    from torch.distributed.fsdp import fully_shard

    def build():
        model = small_model(torch.float32).double()
        fully_shard(model)
        return model, SETTINGS[name](model.parameters())

    model, optimizer = build()
    steps(model, optimizer)
    weights, memory = get_state_dict(model, optimizer)
    weights = {key: value.clone() for key, value in weights.items()}
    memory = {
        "state": {key: {k: v.clone() for k, v in value.items()} for key, value in memory["state"].items()},
        "param_groups": memory["param_groups"],
    }
    straight = whole(steps(model, optimizer, start=4))
    again, second = build()
    set_state_dict(again, second, model_state_dict=weights, optim_state_dict=memory)
    return straight, whole(steps(again, second, start=4))


def one_rank_spoils():
    import torch.distributed as dist
    from torch.distributed.fsdp import fully_shard

    model = small_model()
    fully_shard(model)
    optimizer = Lamb(model.named_parameters(), 0.05)
    model(torch.ones(2, 5, dtype=torch.float64)).sum().backward()
    if dist.get_rank() == 1:
        model[0].weight.grad.to_local()[0, 0] = float("nan")
    try:
        optimizer.step()
    except NonFiniteGradientError as error:
        return str(error)
    return "stepped"


def all_on_two_ranks():
    """Everything in one launch: the import of torch's sharding takes longer than the steps."""
    return {
        "fsdp": {name: fsdp(name, 1, 2) for name in SETTINGS},
        "tensor parallel": {name: tensor_parallel(name) for name in SETTINGS},
        "resume": {name: resume(name) for name in SETTINGS},
        "spoiled": one_rank_spoils(),
    }


@pytest.fixture(scope="module")
def two_ranks(launch_ranks):
    return launch_ranks(all_on_two_ranks, 2)


def alone(name):
    model = small_model()
    return whole(steps(model, SETTINGS[name](decay_groups(model, 0.01))))


@pytest.mark.parametrize("name", SETTINGS)
def test_fsdp_steps_as_one_process_does(two_ranks, name):
    """Oracle: the same optimizer, which is checked against the paper, on whole tensors; sides that don't divide."""
    for rank in two_ranks:
        torch.testing.assert_close(rank["fsdp"][name], alone(name), rtol=1e-9, atol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize(("replicas", "shards"), [(1, 3), (2, 2)])
def test_three_shards_and_a_mesh_with_replicas_step_as_one_process_does(launch_ranks, replicas, shards):
    """Oracle: whole tensors in one process. A norm that also summed over replicas would be too large by sqrt(2)."""
    for rank in launch_ranks(lambda: {name: fsdp(name, replicas, shards) for name in SETTINGS}, replicas * shards):
        for name, weights in rank.items():
            torch.testing.assert_close(weights, alone(name), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", SETTINGS)
def test_tensor_parallel_steps_as_one_process_does(two_ranks, name):
    """Oracle: whole tensors in one process; the row-parallel bias is replicated, not sharded."""
    for rank in two_ranks:
        torch.testing.assert_close(rank["tensor parallel"][name], tensor_parallel_alone(name), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_sharded_run_resumes_bit_for_bit(two_ranks, name):
    """Oracle: the same run without the interruption, through torch.distributed.checkpoint.state_dict."""
    for rank in two_ranks:
        straight, resumed = rank["resume"][name]
        torch.testing.assert_close(resumed, straight, rtol=0, atol=0)


def test_a_nan_in_one_ranks_shard_stops_all_ranks(two_ranks):
    """Oracle: both ranks name the parameter, so that neither waits for the other in the next collective."""
    assert all("0.weight" in rank["spoiled"] and "Nothing was changed" in rank["spoiled"] for rank in two_ranks)
