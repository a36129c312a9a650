"""count_parameters. Oracle: transformers' classes on the meta device, and the totals that authors print."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.arithmetic import count_parameters
from course_lib.catalog import ModelConfig, gpt_config, model, models

FRAME = models()
NAMES = list(FRAME["name"])
NOT_IN_TRANSFORMERS = {"palm-540b"}  # checked against its printed 540.35B alone


@pytest.mark.parametrize("name", [n for n in NAMES if n not in NOT_IN_TRANSFORMERS])
def test_every_cataloged_model_agrees_with_hugging_face_to_the_last_parameter(name, hugging_face):
    """Oracle: transformers builds the model, torch counts its parameters."""
    to_config, to_model = hugging_face
    shape = model(name)
    if name.startswith("gpt-oss"):
        import transformers

        default = transformers.GptOssConfig()  # is gpt-oss-120b
        config = (
            default if name.endswith("120b") else transformers.GptOssConfig(num_hidden_layers=24, num_local_experts=32)
        )
    else:
        config = to_config(shape)
    assert count_parameters(name).total == sum(p.numel() for p in to_model(config).parameters())


@pytest.mark.parametrize(
    ("name", "config_class"),
    [("gpt2", "GPT2Config"), ("bert-base", "BertConfig"), ("mixtral-8x7b", "MixtralConfig"),
     ("deepseek-v3", "DeepseekV3Config"), ("gpt-oss-120b", "GptOssConfig")],
)  # fmt: skip
def test_hugging_faces_own_defaults_are_the_released_models(name, config_class, hugging_face):
    """Oracle: configuration classes whose defaults are the release, so that none of our numbers enters."""
    import transformers

    built = hugging_face[1](getattr(transformers, config_class)())
    assert count_parameters(name).total == sum(p.numel() for p in built.parameters())


@pytest.mark.parametrize("name", ["llama3-tiny", "llama2-wide-heads", "gpt-tiny", "mixtral-tiny", "olmoe-tiny",
                                  "qwen3-tiny", "deepseek-tiny",
    "deepseek-whole-queries", "gptoss-tiny"])  # fmt: skip
def test_each_part_agrees_with_hugging_face_module_by_module(name, tiny_shapes, hugging_face):
    """Oracle: parameter names of the transformers model, sorted into parts by their module."""
    shape = tiny_shapes[name]
    parts = dict.fromkeys(("embedding", "output_head", "attention", "ffn", "router", "norm", "other"), 0)
    for key, parameter in hugging_face[1](hugging_face[0](shape)).named_parameters():
        parts[_part(key)] += parameter.numel()
    counted = count_parameters(shape)
    assert {part: getattr(counted, part) for part in parts} == parts


def _part(key: str) -> str:
    if "norm" in key or ".ln_" in key:
        return "norm"
    if "lm_head" in key:
        return "output_head"
    if "embed" in key or ".wte" in key or ".wpe" in key:
        return "embedding"
    if "attn" in key:
        return "attention"
    if key.split(".mlp.")[1].startswith(("gate.", "router.")):
        return "router"
    return "ffn"


@pytest.mark.parametrize("name", NAMES)
def test_totals_agree_with_what_the_authors_print(name):
    """Oracle: model cards and papers, within 1 % or half of the last digit that they print, whichever is more."""
    shape = model(name)
    allowed = max(0.01 * shape.published_total, shape.published_rounding / 2)
    assert count_parameters(shape).total == pytest.approx(shape.published_total, abs=allowed)


@pytest.mark.parametrize("name", [n for n in NAMES if model(n).published_active])
def test_active_parameters_agree_with_what_the_authors_print_under_their_own_convention(name):
    """Oracle: model cards; "37B" and "1.3B" carry two digits, hence 2.5 %."""
    shape = model(name)
    count = count_parameters(shape, active_includes_input_embedding=shape.published_active_includes_input_embedding)
    assert count.active == pytest.approx(shape.published_active, rel=0.025)


def test_gpt_oss_active_parameters_agree_only_without_the_input_embedding():
    """Oracle: the gpt-oss card's 5.1B and 3.6B."""
    for name, published in (("gpt-oss-120b", 5.13e9), ("gpt-oss-20b", 3.61e9)):
        assert count_parameters(name, active_includes_input_embedding=False).active == pytest.approx(
            published, rel=1e-3
        )
        assert count_parameters(name).active > 1.1 * published


def test_a_tied_table_stays_active_because_it_computes_the_logits():
    """Oracle: GPT-2's tied matrix is used in the last matmul of every token; its position table is not."""
    count = count_parameters("gpt2", active_includes_input_embedding=False)
    assert count.total - count.active == 1024 * 768


@pytest.mark.parametrize("name", NAMES)
def test_the_parts_add_up_to_the_total(name):
    """Oracle: addition."""
    c = count_parameters(name)
    assert c.total == c.embedding + c.output_head + c.attention + c.ffn + c.router + c.norm + c.other
    assert c.active <= c.total
    assert c.routed_experts <= c.ffn
    assert c.non_embedding == c.total - c.embedding


def test_the_closed_form_of_megatron_leaves_only_the_final_norm_out():
    """Oracle: SC21 eq. 2, P = 12 l h^2 (1 + 13/(12h) + (V+s)/(12lh))."""
    layers, hidden, vocab, sequence = 24, 2304, 51200, 2048
    closed_form = 12 * layers * hidden**2 + 13 * layers * hidden + (vocab + sequence) * hidden
    shape = gpt_config(hidden_size=hidden, layers=layers, heads=24)
    assert count_parameters(shape).total - closed_form == 2 * hidden


@settings(max_examples=12, deadline=None)
@given(
    layers=st.integers(1, 3), kv_heads=st.sampled_from([1, 2, 4]), head_dim=st.sampled_from([4, 8, 10]),
    ffn=st.integers(1, 40), vocab=st.integers(2, 50), tied=st.booleans(), experts=st.integers(1, 5),
)  # fmt: skip
def test_any_mixtral_shape_agrees_with_hugging_face(
    hugging_face, layers, kv_heads, head_dim, ffn, vocab, tied, experts
):
    """Oracle: transformers' Mixtral of a random shape, on the meta device."""
    shape = ModelConfig(
        name="mixtral-random", vocab_size=vocab, hidden_size=16, layers=layers, heads=4, kv_heads=kv_heads,
        head_dim=head_dim, ffn_hidden_size=ffn, gated_ffn=True, norm="rmsnorm", tied_embeddings=tied,
        experts=experts, experts_per_token=1,
    )  # fmt: skip
    built = hugging_face[1](hugging_face[0](shape))
    assert count_parameters(shape).total == sum(p.numel() for p in built.parameters())
