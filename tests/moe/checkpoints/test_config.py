"""Shapes as config.json and back. Oracle: transformers' classes and the counts that the authors published."""

import pytest
import torch

from course_lib.arithmetic import count_parameters
from course_lib.catalog import gpt_config, model
from course_lib.moe import MoEConfig, MoEError, MoEModel, moe_config
from course_lib.moe.checkpoints import config_from_hf, config_to_hf
from tests.moe.checkpoints.peers import LAYOUTS, peer, tokens

# transformers' own modules, counted on the meta device (the notes of this course's reference, and the model cards)
PUBLISHED = {
    "mixtral-8x7b": ("mixtral", 46_702_792_704),
    "olmoe-1b-7b": ("olmoe", 6_919_161_856),
    "qwen3-30b-a3b": ("qwen3_moe", 30_532_122_624),
}


def config_class(layout):
    import transformers

    return {
        "mixtral": transformers.MixtralConfig,
        "olmoe": transformers.OlmoeConfig,
        "qwen3_moe": transformers.Qwen3MoeConfig,
    }[layout]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_cataloged_model_goes_to_transformers_and_back(name):
    """Oracle: the number of parameters of the released weights, counted from transformers' config on the way back."""
    layout, published = PUBLISHED[name]
    theirs = config_class(layout)(**config_to_hf(model(name), layout=layout))
    shape, moe = config_from_hf(theirs.to_dict())
    assert count_parameters(shape).total == published
    written = config_to_hf(shape, moe, layout)
    assert written == {**config_to_hf(model(name), moe, layout), "intermediate_size": theirs.intermediate_size}
    assert theirs.rope_parameters["rope_theta"] == model(name).rope_theta
    assert theirs.rms_norm_eps == model(name).norm_eps


def test_transformers_default_olmoe_is_not_the_released_one():
    """Oracle: OlmoeConfig(), whose experts are twice as wide as those of OLMoE-1B-7B; all else is alike."""
    shape, _ = config_from_hf(config_class("olmoe")().to_dict())
    assert round(count_parameters(shape).total / 1e9, 2) == 13.36
    assert shape.expert_hidden_size == 2 * model("olmoe-1b-7b").expert_hidden_size


def test_the_default_mixtral_is_the_released_one():
    """Oracle: MixtralConfig(), which differs in the context length only."""
    shape, moe = config_from_hf(config_class("mixtral")().to_dict())
    assert count_parameters(shape).total == PUBLISHED["mixtral-8x7b"][1]
    assert (shape.rope_theta, shape.norm_eps, moe.normalize) == (1e6, 1e-5, True)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_keys_of_older_versions_are_understood(layout):
    """Oracle: transformers' class given the same old keys."""
    written = config_to_hf(moe_config_for(layout), layout=layout)
    old = {key: value for key, value in written.items() if key not in ("rope_parameters", "dtype")}
    old |= {"rope_theta": 1234.0, "rope_scaling": None, "torch_dtype": "bfloat16"}
    theirs = config_class(layout)(**old)
    assert theirs.rope_parameters["rope_theta"] == 1234.0
    assert config_from_hf(old) == config_from_hf(theirs.to_dict())
    assert config_from_hf(old)[0].rope_theta == 1234.0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_keys_that_are_left_out_mean_what_they_mean_to_transformers(layout):
    """Oracle: the defaults of transformers' class."""
    shape = moe_config_for(layout)
    written = config_to_hf(shape, MoEConfig.of(shape, normalize=layout != "olmoe"), layout=layout)
    for key in ("rms_norm_eps", "rope_parameters", "router_aux_loss_coef", "norm_topk_prob", "attention_bias"):
        less = {name: value for name, value in written.items() if name != key}
        assert config_from_hf(less) == config_from_hf(config_class(layout)(**less).to_dict()), key


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_balance_loss_counts_as_much_as_in_transformers(layout):
    """Oracle: transformers' load_balancing_loss_func times its coefficient; at one layer both are one number."""
    theirs = peer(layout, num_hidden_layers=1, router_aux_loss_coef=0.25, output_router_logits=True)
    shape, moe = config_from_hf(theirs.config.to_dict())
    ours = MoEModel(shape, moe)
    with torch.no_grad():
        out = theirs(tokens(), labels=tokens())
        layer = ours.layers["0"].feed_forward
        block = theirs.model.layers[0].mlp
        layer.router.weight.copy_(block.gate.weight)
        seen = []
        block.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        theirs(tokens())
        layer(seen[0])
    torch.testing.assert_close(layer.auxiliary_loss(), 0.25 * out.aux_loss, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"sliding_window": 16}, "sliding_window"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"clip_qkv": 8.0}, "clip_qkv"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4}}, "yarn"),
        ({"rope_parameters": {"full_attention": {"rope_theta": 1e6}}}, "full_attention"),
        ({"rope_parameters": [1e6]}, "rope_parameters"),
        ({"rope_scaling": {"type": "linear", "factor": 2}}, "rope_scaling"),
        ({"router_jitter_noise": 0.1}, "router_jitter_noise"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config"),
        ({"model_type": "llama"}, "llama"),
        ({"model_type": None}, "model_type=None"),
        ({"num_hidden_layers": None, "vocab_size": "96"}, "num_hidden_layers.*vocab_size"),
        ({"decoder_sparse_step": 2, "mlp_only_layers": [1]}, "mlp_only_layers"),
        ({"num_experts_per_tok": 9}, "experts_per_token=9"),
        ({"max_position_embeddings": 0}, "context_length"),
        ({"sliding_window": "4096"}, "sliding_window.*4096"),
        ({"mlp_only_layers": 1}, "mlp_only_layers.*list"),
        ({"mlp_only_layers": [0, "1"]}, "mlp_only_layers"),
        ({"router_aux_loss_coef": None}, "router_aux_loss_coef.*numbers"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_what_would_be_computed_differently_is_refused_by_name(change, word):
    written = config_to_hf(moe_config(), layout="mixtral")
    with pytest.raises(MoEError, match=f"{word}.* Remedy: "):
        config_from_hf({**written, **change})


def test_a_window_as_long_as_the_context_is_none():
    written = config_to_hf(moe_config(context_length=64), layout="mixtral")
    assert config_from_hf({**written, "sliding_window": 64})[0].sliding_window == 0
    qwen = config_to_hf(moe_config_for("qwen3_moe"), layout="qwen3_moe")
    assert config_from_hf({**qwen, "sliding_window": 4, "use_sliding_window": False})[0].sliding_window == 0


@pytest.mark.parametrize(
    ("shape", "moe", "words"),
    [
        ({"shared_experts": 1, "first_dense_layers": 1}, {}, ["shared_experts=1", "first_dense_layers=1"]),
        ({"moe_every": 2}, {}, ["moe_every=2"]),
        ({}, {"router": "sigmoid_bias", "scale": 2.5}, ["router='sigmoid_bias'", "scale=2.5"]),
        ({}, {"normalize": False}, ["normalize=False"]),
        ({}, {"capacity_factor": 1.25}, ["capacity_factor=1.25"]),
    ],
    ids=["shared", "every", "router", "normalize", "capacity"],
)
def test_a_shape_that_a_family_cannot_express_is_refused_with_all_reasons(shape, moe, words):
    config = moe_config(**shape)
    with pytest.raises(MoEError, match=r"Remedy") as error:
        config_to_hf(config, MoEConfig.of(config, **moe), "mixtral")
    assert all(word in str(error.value) for word in words)


def test_weights_after_the_choice_are_weights_that_sum_to_one():
    config = moe_config()
    assert config_to_hf(config, MoEConfig.of(config, softmax="after", normalize=False), "mixtral")


def test_dense_shapes_and_unknown_layouts_are_refused():
    with pytest.raises(MoEError, match="no experts"):
        config_to_hf(gpt_config(hidden_size=32, layers=1, heads=2))
    with pytest.raises(MoEError, match=r"layout='gpt-oss' is not known.*mixtral, olmoe, qwen3_moe"):
        config_to_hf(moe_config(), layout="gpt-oss")


def moe_config_for(layout):
    shape, _ = config_from_hf(peer(layout).config.to_dict())
    return shape
