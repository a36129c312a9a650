"""What an adapter is at its start. Oracle: Hu et al. 2021 and rsLoRA by hand, torch.nn.Linear's first weights."""

import pytest
import torch

from course_lib.moe import MoEModel, moe_config
from course_lib.moe.lora import LoRAConfig, apply_lora
from course_lib.moe.lora.sites import sites


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        (LoRAConfig(rank=4), 2.0),
        (LoRAConfig(rank=4, alpha=2.0), 0.5),
        (LoRAConfig(rank=4, alpha=2.0, rank_stabilized=True), 1.0),
        (LoRAConfig(rank=16, rank_stabilized=True), 8.0),
    ],
    ids=["twice the rank", "alpha", "stabilized", "both"],
)
def test_the_scale_is_alpha_over_the_rank_or_its_root(config, scale):
    """Oracle: alpha / r and alpha / sqrt(r) by hand, with alpha = 2 r when it is left out."""
    assert config.scale == pytest.approx(scale)


def test_a_begins_as_the_rows_of_a_linear_layer_and_b_at_zero():
    """Oracle: the range and the standard deviation of torch.nn.Linear's own weights of that width."""
    torch.manual_seed(0)
    model = MoEModel(moe_config(layers=1, hidden_size=64, experts=4))
    apply_lora(model, LoRAConfig(rank=16))
    for site in sites(model):
        a, b = site.adapters.a["default"].detach(), site.adapters.b["default"]
        like = torch.nn.Linear(a.shape[-1], 4096).weight.detach()
        assert float(a.abs().max()) <= float(like.abs().max()) * 1.001
        assert float(a.std()) == pytest.approx(float(like.std()), rel=0.1)
        assert not bool(b.any())
