"""Parameters of what is built, on the meta device, against the counters, which agree with published numbers."""

import pytest
import torch

from course_lib.arithmetic import count_parameters
from course_lib.catalog import model, models
from course_lib.moe import MoEConfig, MoELayer, MoEModel

PUBLISHED = {  # exact counts of transformers' models with the released configurations: total, active
    "mixtral-8x7b": (46_702_792_704, 12_879_925_248),
    "mixtral-8x22b": (140_630_071_296, 39_161_468_928),
    "olmoe-1b-7b": (6_919_161_856, 1_282_017_280),
    "qwen3-30b-a3b": (30_532_122_624, 3_353_032_704),
    "qwen3-235b-a22b": (235_093_634_560, 22_190_763_520),
    "deepseek-v3": (671_026_404_352, 37_552_282_624),
}
WITH_EXPERTS = [name for name in models()["name"] if model(name).experts]
LIKE_MIXTRAL = [name for name in WITH_EXPERTS if name.startswith(("mixtral", "olmoe", "qwen3", "deepseek"))]


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_total_and_active_counts_are_the_released_models(name):
    """Oracle: transformers' classes on the meta device; the models' cards print the same, rounded."""
    counted = count_parameters(name)
    assert (counted.total, counted.active) == PUBLISHED[name]


@pytest.mark.parametrize("name", [name for name in PUBLISHED if not name.startswith("deepseek")])
def test_a_whole_model_has_exactly_the_published_number_of_parameters(name):
    """Oracle: the same counts; only weights without storage are made."""
    with torch.device("meta"):
        built = MoEModel(model(name))
    assert size(built) == PUBLISHED[name][0]


@pytest.mark.parametrize("name", LIKE_MIXTRAL)
def test_a_layer_has_exactly_the_counted_router_and_experts(name):
    """Oracle: count_parameters: one layer's share of router, routed and shared experts."""
    shape = model(name)
    counted = count_parameters(shape)
    with torch.device("meta"):
        layer = MoELayer(MoEConfig.of(shape))
    assert size(layer.experts) * shape.moe_layers == counted.routed_experts
    assert size(layer.router) * shape.moe_layers == counted.router
    routed, shared = size(layer.experts), 0 if layer.shared is None else size(layer.shared)
    assert shared == shape.shared_experts * routed // shape.experts
