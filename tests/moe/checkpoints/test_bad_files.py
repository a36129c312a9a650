"""Checkpoints that can't be read, and folders that can't be written: clear errors, nothing half-done."""

import json
import os

import pytest
import torch

from course_lib.moe import MoEError, MoEModel, moe_config
from course_lib.moe.checkpoints import load_checkpoint, save_checkpoint
from tests.moe.checkpoints.peers import copy_of, files_of, rewrite


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A checkpoint in one file."""
    model = MoEModel(moe_config(layers=2, hidden_size=32, experts=4))
    return save_checkpoint(model, tmp_path_factory.mktemp("bad") / "whole")


@pytest.fixture(scope="module")
def sharded(whole):
    return save_checkpoint(load_checkpoint(whole), whole.parent / "sharded", max_shard_bytes=20_000)


@pytest.fixture
def broken(whole, tmp_path):
    """A copy to be broken."""
    return copy_of(whole, tmp_path / "broken")


def refused(folder):
    with pytest.raises(MoEError, match="Remedy") as error:
        load_checkpoint(folder)
    return str(error.value)


def test_missing_extra_and_misshapen_tensors_are_all_listed_at_once(broken):
    w1 = "model.layers.{}.block_sparse_moe.experts.2.w1.weight"

    def change(tensors):
        for number in (0, 1):
            del tensors[w1.format(number)]
        tensors["model.layers.7.input_layernorm.weight"] = torch.ones(32)
        tensors["lm_head.bias"] = torch.ones(64)
        tensors["model.norm.weight"] = torch.ones(31)

    rewrite(broken, change)
    told = refused(broken)
    assert f"2 missing: {w1.format(0)}, {w1.format(1)}" in told
    assert "2 extra: lm_head.bias, model.layers.7.input_layernorm.weight" in told
    assert "model.norm.weight is (31,), not (32,)" in told


def test_a_table_of_rotary_angles_in_old_files_is_no_extra_tensor(broken):
    rewrite(broken, lambda t: t.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}))
    load_checkpoint(broken)


@pytest.mark.parametrize("kept", [0, 7, 100, -1], ids=["empty", "length", "header", "last byte"])
def test_a_file_that_was_cut_off_is_named(broken, kept):
    path = broken / "model.safetensors"
    os.truncate(path, kept if kept >= 0 else path.stat().st_size + kept)
    told = refused(broken)
    assert str(path) in told
    assert "no whole safetensors file" in told


def test_a_shard_that_was_cut_off_or_is_missing_is_named(sharded, tmp_path):
    folder = copy_of(sharded, tmp_path / "shards")
    shards = sorted(folder.glob("*.safetensors"))
    os.truncate(shards[1], shards[1].stat().st_size // 2)
    assert shards[1].name in refused(folder)
    shards[1].unlink()
    shards[2].unlink()
    told = refused(folder)
    assert f"shards={[shards[1].name, shards[2].name]!r} of {len(shards)} files" in told


@pytest.mark.parametrize("text", ["", "[]", '{"weight_map": ["a"]}', '{"weight_map": {"a": 1}}', '{"metadata": {}}'])
def test_an_index_that_cannot_be_read_is_refused(sharded, tmp_path, text):
    folder = copy_of(sharded, tmp_path / "shards")
    (folder / "model.safetensors.index.json").write_text(text)
    assert "can't be read" in refused(folder)


def test_an_index_cannot_point_outside_of_its_folder(sharded, tmp_path):
    folder = copy_of(sharded, tmp_path / "shards")
    path = folder / "model.safetensors.index.json"
    path.write_text(path.read_text().replace("model-00001", "../shards/model-00001"))
    assert "outside of its folder" in refused(folder)


def test_a_folder_without_safetensors_says_what_it_holds(broken):
    (broken / "model.safetensors").rename(broken / "pytorch_model.bin")
    assert "config.json, pytorch_model.bin" in refused(broken)
    (broken / "config.json").unlink()
    assert "has no config.json to read" in refused(broken)
    assert "has no config.json to read" in refused(broken / "nowhere")
    (broken / "config.json").write_text("{'a': 1}")
    assert "has no config.json to read" in refused(broken)


def test_a_router_that_no_checkpoint_holds_cannot_be_asked_for(whole):
    with pytest.raises(MoEError, match="router='sigmoid_bias' has other tensors"):
        load_checkpoint(whole, router="sigmoid_bias")
    with pytest.raises(MoEError, match="is more than the 4 experts"):
        load_checkpoint(whole, experts_per_token=5)


def test_types_that_are_no_weights_are_refused(broken):
    rewrite(broken, lambda t: t.update({"lm_head.weight": t["lm_head.weight"].to(torch.int8)}))
    assert "lm_head.weight is of type I8" in refused(broken)


def test_experts_of_two_types_are_one_parameter_only_when_asked(broken):
    name = "model.layers.1.block_sparse_moe.experts.3.w3.weight"
    rewrite(broken, lambda t: t.update({name: t[name].bfloat16()}))
    assert "layers.1.feed_forward.experts.up" in refused(broken)
    loaded = load_checkpoint(broken, dtype=torch.float32)
    assert torch.equal(loaded.layers["1"].feed_forward.experts.up[3, 48:], files_of(broken)[name].float())


def test_a_tied_output_matrix_may_be_repeated_but_not_differ(tmp_path):
    folder = save_checkpoint(MoEModel(moe_config(tied_embeddings=True)), tmp_path / "tied")
    assert "lm_head.weight" not in files_of(folder)
    rewrite(folder, lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].clone()}))
    load_checkpoint(folder)
    rewrite(folder, lambda t: t["lm_head.weight"].add_(1))
    assert "differs from the embedding" in refused(folder)


def test_nothing_is_overwritten(whole):
    before = sorted((path.name, path.stat().st_mtime_ns) for path in whole.iterdir())
    model = load_checkpoint(whole)
    for folder in (whole, whole / "config.json"):
        with pytest.raises(MoEError, match="is there already"):
            save_checkpoint(model, folder)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in whole.iterdir()) == before


def test_a_disk_that_fills_up_half_way_leaves_nothing(whole, tmp_path, monkeypatch):
    """Oracle: the folder's listing after the operating system refused the third file."""
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")

    model = load_checkpoint(whole)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MoEError, match="No space left on device"):
        save_checkpoint(model, tmp_path / "new", max_shard_bytes=20_000)
    assert list(tmp_path.iterdir()) == []
    assert len(calls) == 3


def test_a_folder_that_may_not_be_written_to_is_named(whole, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MoEError, match=r"file/new.*can't be written to"):
        save_checkpoint(load_checkpoint(whole), tmp_path / "file" / "new")


def test_models_that_are_not_whole_are_not_written(tmp_path):
    config = moe_config(layers=1)
    with torch.device("meta"):
        empty = MoEModel(config)
    cut, integers = MoEModel(config), MoEModel(config)
    experts = cut.layers["0"].feed_forward.experts
    experts.down = torch.nn.Parameter(experts.down[:4].detach())
    norm = integers.norm
    norm.weight = torch.nn.Parameter(torch.ones(64, dtype=torch.complex64))
    for model, word in ((empty, "has no storage"), (cut, r"experts.down is \(4, "), (integers, "complex64")):
        with pytest.raises(MoEError, match=word):
            save_checkpoint(model, tmp_path / "new")
    for options, word in (
        ({"layout": "gpt2"}, "layout='gpt2'"),
        ({"experts": "both"}, "experts='both'"),
        ({"max_shard_bytes": 0}, "max_shard_bytes=0"),
    ):
        with pytest.raises(MoEError, match=word):
            save_checkpoint(MoEModel(config), tmp_path / "new", **options)
    assert list(tmp_path.iterdir()) == []


def test_parameters_that_lie_askew_in_memory_are_written_as_they_read(tmp_path):
    """Oracle: the parameter itself, read back by safetensors."""
    model = MoEModel(moe_config(layers=1))
    router = model.layers["0"].feed_forward.router
    router.weight = torch.nn.Parameter(router.weight.detach().T.contiguous().T)
    assert not router.weight.is_contiguous()
    folder = save_checkpoint(model, tmp_path / "new")
    stored = files_of(folder)["model.layers.0.block_sparse_moe.gate.weight"]
    assert torch.equal(stored, router.weight)
    assert json.loads((folder / "config.json").read_text())["dtype"] == "float32"
