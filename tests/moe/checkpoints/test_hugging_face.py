"""Checkpoints both ways between transformers and our model. Oracle: transformers with the same files."""

import json

import pytest
import torch

from course_lib.moe import MoEError
from course_lib.moe.checkpoints import load_checkpoint, save_checkpoint
from tests.moe.checkpoints.peers import LAYOUTS, as_bytes, files_of, peer, save_fused, tokens

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def logits_of(model):
    with torch.no_grad():
        out = model(tokens())
    return out if isinstance(out, torch.Tensor) else out.logits


def reloaded(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder).eval()


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_logits_equal_transformers_for_both_layouts_of_experts(tmp_path, layout, tied):
    """Oracle: transformers' model, which saved one folder; safetensors saved the other, as transformers holds it."""
    theirs = peer(layout, tie_word_embeddings=tied)
    theirs.save_pretrained(tmp_path / "per_expert", max_shard_size="20KB")
    save_fused(theirs, tmp_path / "fused")
    assert len(list((tmp_path / "per_expert").glob("*.safetensors"))) > 3
    for folder in ("per_expert", "fused"):
        ours = load_checkpoint(tmp_path / folder)
        torch.testing.assert_close(logits_of(ours), logits_of(theirs), rtol=1e-5, atol=1e-5)
        assert (ours.output.weight is ours.tok_embeddings.weight) == tied


@pytest.mark.parametrize("experts", ["per_expert", "fused"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_transformers_loads_what_we_save_with_equal_logits(tmp_path, layout, experts):
    """Oracle: transformers' model that the weights came from."""
    theirs = peer(layout, tie_word_embeddings=layout == "olmoe")
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_checkpoint(tmp_path / "theirs")
    save_checkpoint(ours, tmp_path / "ours", layout=layout, experts=experts, max_shard_bytes=20_000)
    again = reloaded(tmp_path / "ours")
    assert torch.equal(logits_of(again), logits_of(theirs))
    for (name, one), (_, other) in zip(theirs.named_parameters(), again.named_parameters(), strict=True):
        assert as_bytes(one) == as_bytes(other), name


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_tensor_comes_back_under_its_name_bit_for_bit(tmp_path, layout, dtype):
    """Oracle: the files that transformers wrote, read by safetensors; infinities, NaNs and -0.0 among the weights."""
    theirs = peer(layout, DTYPES[dtype])
    with torch.no_grad():
        for parameter in theirs.parameters():
            odd = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0, torch.finfo(parameter.dtype).tiny / 4])
            parameter.view(-1)[:5] = odd.to(parameter.dtype)
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size="30KB")
    ours = load_checkpoint(tmp_path / "theirs")
    assert {p.dtype for p in ours.parameters()} == {DTYPES[dtype]}
    save_checkpoint(ours, tmp_path / "once", layout=layout, experts="fused")
    twice = load_checkpoint(tmp_path / "once")
    assert (twice.config, twice.moe) == (ours.config, ours.moe)
    save_checkpoint(twice, tmp_path / "twice", layout=layout, max_shard_bytes=1)
    before, after = files_of(tmp_path / "theirs"), files_of(tmp_path / "twice")
    assert {k: (v.shape, v.dtype, as_bytes(v)) for k, v in before.items()} == {
        k: (v.shape, v.dtype, as_bytes(v)) for k, v in after.items()
    }


def test_the_index_is_the_one_that_transformers_writes(tmp_path):
    """Oracle: transformers' index for the same model: the same names and totals; ours fills files in another order."""
    theirs = peer("mixtral")
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size="20KB")
    save_checkpoint(load_checkpoint(tmp_path / "theirs"), tmp_path / "ours", max_shard_bytes=20_000)
    one, other = (json.loads((tmp_path / f / "model.safetensors.index.json").read_text()) for f in ("theirs", "ours"))
    assert one["metadata"] == other["metadata"]
    assert one["weight_map"].keys() == other["weight_map"].keys()
    sizes = {}
    for name, value in files_of(tmp_path / "ours").items():
        file = other["weight_map"][name]
        sizes[file] = sizes.get(file, 0) + value.numel() * value.element_size()
    assert max(sizes.values()) <= 20_000
    assert len(sizes) == len(list((tmp_path / "ours").glob("*.safetensors")))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_theta_epsilon_biases_and_weights_that_do_not_sum_to_one_are_taken_from_the_config(tmp_path, layout):
    """Oracle: transformers' model with these numbers; with the usual ones the logits are others."""
    more = {} if layout == "mixtral" else {"attention_bias": True, "norm_topk_prob": layout == "olmoe"}
    theirs = peer(layout, rms_norm_eps=0.03, rope_parameters={"rope_type": "default", "rope_theta": 50.0}, **more)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_checkpoint(tmp_path / "theirs")
    torch.testing.assert_close(logits_of(ours), logits_of(theirs), rtol=1e-5, atol=1e-5)
    config = json.loads((tmp_path / "theirs" / "config.json").read_text())
    for key, usual in (("rope_parameters", None), ("rms_norm_eps", 1e-5)):
        (tmp_path / "theirs" / "config.json").write_text(json.dumps({**config, key: usual}))
        other = load_checkpoint(tmp_path / "theirs")
        assert (logits_of(other) - logits_of(theirs)).abs().max() > 1e-3, key


def test_qwens_dense_layers_are_read(tmp_path):
    """Oracle: transformers' Qwen3-MoE with its lowest layer dense, or every second one."""
    for number, options in enumerate(({"mlp_only_layers": [0]}, {"decoder_sparse_step": 2})):
        theirs = peer("qwen3_moe", **options)
        theirs.save_pretrained(tmp_path / f"theirs{number}")
        ours = load_checkpoint(tmp_path / f"theirs{number}")
        assert ours.config.dense_layers == 1
        torch.testing.assert_close(logits_of(ours), logits_of(theirs), rtol=1e-5, atol=1e-5)
        save_checkpoint(ours, tmp_path / f"ours{number}", layout="qwen3_moe", experts="fused")
        assert torch.equal(logits_of(reloaded(tmp_path / f"ours{number}")), logits_of(theirs))


def test_another_type_and_options_of_the_layers_can_be_asked_for(tmp_path):
    """Oracle: transformers' model read in fp32 from bf16 files."""
    peer("mixtral", torch.bfloat16).save_pretrained(tmp_path / "theirs")
    ours = load_checkpoint(tmp_path / "theirs", dtype=torch.float32, execution="loop", balance_loss=0.5)
    theirs = reloaded(tmp_path / "theirs").float()
    assert (ours.moe.execution, ours.moe.balance_loss) == ("loop", 0.5)
    torch.testing.assert_close(logits_of(ours), logits_of(theirs), rtol=1e-5, atol=1e-5)


def test_a_model_of_ours_that_no_checkpoint_held_is_written_too(tmp_path):
    """Oracle: transformers' logits for a model trained here."""
    from course_lib.moe import MoEModel, moe_config

    ours = MoEModel(moe_config(layers=2, kv_heads=2, experts=6), seed=5)
    save_checkpoint(ours, tmp_path / "deep" / "ours", more_config={"eos_token_id": 3})
    theirs = reloaded(tmp_path / "deep" / "ours")
    assert theirs.config.eos_token_id == 3
    with torch.no_grad():
        ids = tokens() % 64
        torch.testing.assert_close(ours(ids), theirs(ids).logits, rtol=1e-5, atol=1e-5)
    with pytest.raises(MoEError, match="is 64 in this model"):
        save_checkpoint(ours, tmp_path / "other", more_config={"vocab_size": 65})
