"""The selection bias in half precision. Oracle: the sum that a thousand steps make in exact arithmetic."""

import pytest
import torch

from course_lib.moe import MoEConfig, make_router


@pytest.mark.parametrize("convert", ["bfloat16", "half", "float"])
def test_a_model_in_half_precision_keeps_its_bias_in_fp32(convert):
    """A thousand steps of 0.001 make 1; in bf16 they would stop at 0.25, where 0.001 is less than half a digit."""
    config = MoEConfig(hidden_size=4, expert_hidden_size=4, experts=4, experts_per_token=1, router="sigmoid_bias")
    router = getattr(make_router(config), convert)()
    for _ in range(1000):
        router.rebalance(torch.tensor([0.0, 1.0, 1.0, 1.0]))
    assert router.bias.dtype == torch.float32
    assert router.bias[0].item() == pytest.approx(1.0, abs=1e-4)
    assert router.weight.dtype == {"bfloat16": torch.bfloat16, "half": torch.float16, "float": torch.float32}[convert]
