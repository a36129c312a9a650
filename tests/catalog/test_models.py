"""Model shapes: look-up, schema and sources. Oracle: spellings that people use, and rows broken on purpose.

The shapes' numbers are compared with transformers' classes and with published totals in tests/arithmetic.
"""

import dataclasses
import datetime

import pytest

from course_lib.catalog import CatalogError, ModelConfig, UnknownNameError, gpt_config, model, models
from course_lib.catalog.loader import load_toml
from course_lib.catalog.model_config import CatalogedModel

SHAPE = {"name": "x", "vocab_size": 10, "hidden_size": 8, "layers": 2, "heads": 2}
ROW = """
[tiny]
vocab_size = 10
hidden_size = 8
layers = 2
heads = 2
source = "a paper"
date = 2026-01-31
"""


@pytest.mark.parametrize(
    "spelling",
    ["llama3-8b", "llama-3-8b", "Llama 3 8B", "llama3_8b", "LLAMA3-8B", " llama3-8b ", "meta-llama/Meta-Llama-3-8B"],
)
def test_a_model_answers_to_the_spellings_that_people_use(spelling):
    """Oracle: the row called llama3-8b."""
    assert model(spelling).name == "llama3-8b"


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("gpt3", "gpt3-175b"), ("GPT-3 175B", "gpt3-175b"), ("gpt3-1.3b", "gpt3-1.3b"), ("gpt3-13b", "gpt3-13b"),
        ("olmoe-1b-7b-0924", "olmoe-1b-7b"), ("deepseek-v3-default", "deepseek-v3"), ("Llama 3.1 405B", "llama3-405b"),
        ("openai/gpt-oss-20b", "gpt-oss-20b"), ("mt-nlg-530b", "megatron-529.6b"), ("BERT large", "bert-large"),
    ],
)  # fmt: skip
def test_aliases_lead_to_their_row_and_a_decimal_point_counts(spelling, name):
    """Oracle: names that papers and published points use; GPT-3 comes as 1.3B and as 13B."""
    assert model(spelling).name == name


@pytest.mark.parametrize(("wrong", "near"), [("lama3-8b", "llama3-8b"), ("mixtral-8x8b", "mixtral-8x7b")])
def test_an_unknown_model_is_refused_with_the_nearest_names(wrong, near):
    """Oracle: one letter changed."""
    with pytest.raises(UnknownNameError, match=near) as caught:
        model(wrong)
    assert "Remedy" in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_the_frame_holds_every_row_with_its_source_and_date():
    """Oracle: the families that the course uses."""
    frame = models()
    wanted = {
        "llama2-7b", "llama2-13b", "llama2-70b", "llama3-8b", "llama3-70b", "llama3-405b", "gpt2", "gpt2-xl",
        "gpt3-125m", "gpt3-350m", "gpt3-760m", "gpt3-1.3b", "gpt3-2.7b", "gpt3-6.7b", "gpt3-13b", "gpt3-175b",
        "bert-base", "bert-large", "t5-base", "mixtral-8x7b", "mixtral-8x22b", "olmoe-1b-7b", "qwen3-30b-a3b",
        "qwen3-235b-a22b", "deepseek-v3", "gpt-oss-20b", "gpt-oss-120b", "switch-base-128", "palm-540b",
        "megatron-1.7b", "megatron-22b", "megatron-1008b",
    }  # fmt: skip
    assert wanted <= set(frame["name"])
    assert frame["name"].is_unique
    assert (frame["source"].str.len() > 10).all()
    assert frame["date"].map(lambda d: isinstance(d, datetime.date)).all()
    assert frame["published_total"].notna().all()


def test_rows_are_frozen_and_read_once():
    """Oracle: identity, and dataclasses' own refusal."""
    assert model("gpt2") is model("GPT-2 small")
    with pytest.raises(dataclasses.FrozenInstanceError):
        model("gpt2").layers = 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ('source = "a paper"', ["source", "required"]), ("date = 2026-01-31", ["date", "required"]),
        ("vocab_size = 10", ["vocab_size", "required"]),
    ],
)  # fmt: skip
def test_a_row_that_lacks_a_field_is_refused_by_file_entry_and_field(tmp_path, change, words):
    """Oracle: a valid row with one line removed."""
    (tmp_path / "models.toml").write_text(ROW)
    assert load_toml(tmp_path / "models.toml", CatalogedModel)["tiny"].kv_heads == 2
    (tmp_path / "models.toml").write_text(ROW.replace(change, ""))
    with pytest.raises(CatalogError) as caught:
        load_toml(tmp_path / "models.toml", CatalogedModel)
    assert all(word in str(caught.value) for word in ["models.toml", "tiny", *words])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("layers = -2", ["layers", "-2"]),
        ("heads = 3", ["heads=3", "hidden_size=8"]),
        ("heads = 2\nkv_heads = 4", ["kv_heads=4", "heads=2"]),
        ("heads = 2\nhiden = 1", ["hiden"]),
        ('heads = 2\nnorm = "batchnorm"', ["norm", "batchnorm"]),
        ("heads = 2\npublished_total = 0", ["published_total"]),
        ("heads = 2\nexperts = 4", ["experts_per_token=0"]),
        ("heads = 2\nexperts_per_token = 2", ["dense"]),
        ('heads = 2\narchitecture = "encoder_decoder"', ["encoder_layers=0"]),
        ("heads = 2\nkv_lora_rank = 4", ["v_head_dim"]),
    ],
)
def test_a_row_with_a_value_that_does_not_fit_is_refused(tmp_path, line, words):
    """Oracle: the valid row with one value broken."""
    (tmp_path / "models.toml").write_text(
        ROW.replace("heads = 2", line) if "layers" not in line else ROW.replace("layers = 2", line)
    )
    with pytest.raises(CatalogError) as caught:
        load_toml(tmp_path / "models.toml", CatalogedModel)
    assert [word for word in [*words, "tiny", "Remedy"] if word not in str(caught.value)] == []


def test_a_shape_of_ones_own_fills_in_what_follows_from_the_rest():
    """Oracle: the defaults that a multi-head GPT implies."""
    shape = ModelConfig(**SHAPE)
    assert (shape.kv_heads, shape.head_dim, shape.ffn_hidden_size, shape.title) == (2, 4, 32, "x")
    assert (shape.decoder_layers, shape.moe_layers, shape.dense_layers) == (2, 0, 2)
    mixture = ModelConfig(**{**SHAPE, "layers": 7}, experts=4, experts_per_token=1, moe_every=2, first_dense_layers=1)
    assert (mixture.moe_layers, mixture.dense_layers, mixture.expert_hidden_size) == (3, 4, 32)
    assert gpt_config(hidden_size=64, layers=2, heads=2).learned_positions == 2048
