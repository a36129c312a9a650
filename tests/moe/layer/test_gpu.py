"""Experts on a GPU. Oracle: the loop over experts in fp32 on the CPU, which is plain `F.linear`."""

import copy

import pytest
import torch

from course_lib.moe import MoEConfig, MoELayer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
# what a grouped matmul takes; rows of no whole multiple of 16 bytes in bf16; in no type at all
WIDTHS = [(64, 48), (36, 20), (33, 17)]


def gradients(layer, x, grad, half):
    x = x.clone().requires_grad_()
    with torch.autocast(x.device.type, torch.bfloat16, enabled=half):
        out = layer(x)
    out.backward(grad.to(out.dtype))
    return [t.detach().cpu().float() for t in (out, x.grad, *(p.grad for p in layer.parameters()))]


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "bf16"])
@pytest.mark.parametrize(("hidden", "inner"), WIDTHS)
def test_outputs_and_gradients_are_the_loops(hidden, inner, half):
    torch.manual_seed(0)
    shape = {"hidden_size": hidden, "expert_hidden_size": inner, "capacity_factor": 1.0}
    plain = MoELayer(MoEConfig(execution="loop", **shape))
    ours = MoELayer(MoEConfig(**shape))
    for parameter in plain.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    ours.load_state_dict(copy.deepcopy(plain.state_dict()))
    x, grad = torch.randn(40, hidden).bfloat16().float(), torch.randn(40, hidden)
    expected = gradients(plain, x, grad, False)
    found = gradients(ours.cuda(), x.cuda(), grad.cuda(), half)
    for mine, theirs in zip(found, expected, strict=True):
        assert float((mine - theirs).norm() / theirs.norm()) < (2e-2 if half else 1e-5)
