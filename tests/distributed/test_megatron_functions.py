"""f and g from scratch. Oracle: a whole feed-forward block in one process, PyTorch's autograd, and DTensor's plan."""

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F

from course_lib.distributed.megatron_functions import column_linear, my_columns, my_rows, row_linear

BATCH, SEQ, HIDDEN, WIDE = 2, 12, 6, 24


def weights():
    made = torch.Generator().manual_seed(5)
    shapes = {"x": (BATCH, SEQ, HIDDEN), "w1": (WIDE, HIDDEN), "b1": (WIDE,), "w2": (HIDDEN, WIDE), "b2": (HIDDEN,)}
    return {n: torch.randn(s, generator=made, dtype=torch.float64).requires_grad_() for n, s in shapes.items()}


def whole_block(w):
    return F.linear(F.gelu(F.linear(w["x"], w["w1"], w["b1"])), w["w2"], w["b2"])


def mine(tensor, along):
    return tensor.chunk(dist.get_world_size(), dim=along)[dist.get_rank()]


def block_of_rank(sequence_parallel):
    """This rank's output and gradients, and what they should be."""
    w = weights()
    target = torch.randn(BATCH, SEQ, HIDDEN, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    reference = whole_block(w)
    (reference * target).sum().backward()
    local = {
        "x": mine(w["x"], 1) if sequence_parallel else w["x"],
        "w1": my_columns(w["w1"]), "b1": my_columns(w["b1"]), "w2": my_rows(w["w2"]), "b2": w["b2"],
    }  # fmt: skip
    local = {name: value.detach().clone().requires_grad_() for name, value in local.items()}
    inner = column_linear(local["x"], local["w1"], local["b1"], sequence_parallel=sequence_parallel)
    out = row_linear(F.gelu(inner), local["w2"], local["b2"], sequence_parallel=sequence_parallel)
    (out * (mine(target, 1) if sequence_parallel else target)).sum().backward()
    grad_of_x = w["x"].grad
    if sequence_parallel:
        dist.all_reduce(local["b2"].grad)
        reference, grad_of_x = mine(reference, 1), mine(grad_of_x, 1)
    torch.testing.assert_close(out, reference)
    wanted = {
        "x": grad_of_x, "w1": my_columns(w["w1"].grad), "b1": my_columns(w["b1"].grad),
        "w2": my_rows(w["w2"].grad), "b2": w["b2"].grad,
    }  # fmt: skip
    for name, value in wanted.items():
        torch.testing.assert_close(local[name].grad, value, msg=lambda m, n=name: f"{n}: {m}")
    return inner.shape


def both_forms_of_rank():
    return [block_of_rank(sequence_parallel) for sequence_parallel in (False, True)]


@pytest.mark.parametrize("world_size", [1, 3])
def test_column_then_row_equals_the_whole_block_and_its_gradients(launch_ranks, world_size):
    """Oracle: the block in one process and PyTorch's autograd, in float64."""
    for shapes in launch_ranks(both_forms_of_rank, world_size):
        assert shapes == [(BATCH, SEQ, WIDE // world_size)] * 2


def gradcheck_of_rank():
    w = weights()
    x = w["x"][:1, :2].detach().requires_grad_()
    w1, w2 = my_columns(w["w1"]).detach().requires_grad_(), my_rows(w["w2"]).detach().requires_grad_()
    return torch.autograd.gradcheck(lambda x: row_linear(torch.tanh(column_linear(x, w1.detach())), w2.detach()), (x,))


def test_the_gradient_of_the_input_passes_gradcheck(launch_ranks):
    """Oracle: finite differences (torch.autograd.gradcheck), both ranks disturbing the same input alike."""
    assert launch_ranks(gradcheck_of_rank, 2) == [True, True]


def dtensor_block_of_rank():
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    w = weights()
    block = torch.nn.Sequential(torch.nn.Linear(HIDDEN, WIDE), torch.nn.GELU(), torch.nn.Linear(WIDE, HIDDEN)).double()
    with torch.no_grad():
        for parameter, name in zip(block.parameters(), ("w1", "b1", "w2", "b2"), strict=True):
            parameter.copy_(w[name])
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    parallelize_module(block, mesh, {"0": ColwiseParallel(), "2": RowwiseParallel()})
    theirs = block(w["x"])
    theirs.square().sum().backward()
    x = w["x"].detach().requires_grad_()
    w1, w2 = my_columns(w["w1"]).detach().requires_grad_(), my_rows(w["w2"]).detach().requires_grad_()
    ours = row_linear(F.gelu(column_linear(x, w1, my_columns(w["b1"]))), w2, w["b2"])
    ours.square().sum().backward()
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(x.grad, w["x"].grad)
    torch.testing.assert_close(w1.grad, block[0].weight.grad.to_local())
    torch.testing.assert_close(w2.grad, block[2].weight.grad.to_local())


def test_the_same_block_cut_by_dtensor_gives_the_same(launch_ranks):
    """Oracle: torch.distributed.tensor.parallel's ColwiseParallel and RowwiseParallel."""
    launch_ranks(dtensor_block_of_rank, 2)
