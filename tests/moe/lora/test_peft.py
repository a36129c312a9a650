"""Adapters both ways between peft and our models. Oracle: peft on transformers' model of the same weights."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from course_lib.moe import MoEError, MoEModel, moe_config
from course_lib.moe.checkpoints import load_checkpoint
from course_lib.moe.lora import (
    LoRAConfig,
    apply_lora,
    load_adapter,
    merge_lora,
    remove_lora,
    save_adapter,
    trainable_report,
)
from tests.moe.checkpoints.peers import copy_of, peer, tokens

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
EXPERTS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
CASES = {
    "all": ("mixtral", ATTENTION, [*EXPERTS, "mlp.gate.weight"], False),
    "olmoe": ("olmoe", ATTENTION[:1], [*EXPERTS, "mlp.gate.weight"], True),
    "qwen3": ("qwen3_moe", ATTENTION, EXPERTS, False),
    "attention": ("mixtral", ["q_proj", "v_proj"], None, True),
    "up": ("mixtral", [], EXPERTS[:1], False),
    "down": ("mixtral", [], EXPERTS[1:], True),
    "router": ("mixtral", [], ["mlp.gate.weight"], False),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Each family's small random model, saved by transformers once."""
    folder = tmp_path_factory.mktemp("peft")
    for layout in ("mixtral", "olmoe", "qwen3_moe"):
        peer(layout).save_pretrained(folder / layout)
    return folder


def base(saved, layout):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(saved / layout).eval()


def trained_by_peft(saved, case):
    """peft's model with random adapters, as if trained."""
    from peft import LoraConfig, get_peft_model

    layout, modules, parameters, rank_stabilized = CASES[case]
    config = LoraConfig(
        r=3, lora_alpha=12, target_modules=modules, target_parameters=parameters, use_rslora=rank_stabilized
    )
    model = get_peft_model(base(saved, layout), config)
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
    return model


def logits_of(model):
    with torch.no_grad():
        out = model(tokens())
    return out if isinstance(out, torch.Tensor) else out.logits


@pytest.mark.parametrize("case", CASES)
def test_an_adapter_of_peft_gives_equal_logits_here_and_goes_back(saved, tmp_path, case):
    """Oracle: peft's model for what is loaded, peft.PeftModel.from_pretrained for what is saved."""
    from peft import PeftModel

    layout = CASES[case][0]
    theirs = trained_by_peft(saved, case)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_checkpoint(saved / layout)
    without = logits_of(ours)
    load_adapter(ours, tmp_path / "theirs")
    expected = logits_of(theirs)
    assert (without - expected).abs().max() > 1e-2, "the adapter changes nothing, so equal logits would show nothing"
    torch.testing.assert_close(logits_of(ours), expected, rtol=1e-5, atol=1e-5)
    save_adapter(ours, tmp_path / "ours")
    one, other = (load_file(tmp_path / who / "adapter_model.safetensors") for who in ("theirs", "ours"))
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    back = PeftModel.from_pretrained(base(saved, layout), tmp_path / "ours")
    assert torch.equal(logits_of(back), expected)
    merge_lora(ours)
    torch.testing.assert_close(logits_of(ours), expected, rtol=1e-5, atol=1e-5)


def test_the_report_counts_what_peft_counts_and_shows_experts_that_are_skipped(saved):
    """Oracle: peft's get_nb_trainable_parameters; https://github.com/huggingface/peft/issues/3009 for the defect."""
    for case in ("all", "attention"):
        theirs = trained_by_peft(saved, case)
        report = trainable_report(theirs)
        assert (report.trainable, report.total) == theirs.get_nb_trainable_parameters()
        ours = apply_lora(load_checkpoint(saved / "mixtral"), LoRAConfig(rank=3, targets=targets_of(case)))
        assert [(p.part, p.total, p.trainable) for p in ours.parts] == [
            (p.part, p.total, p.trainable) for p in report.parts
        ]
    assert report["experts"].trainable == 0
    assert "experts" in report.frozen
    assert "Nothing trains in: embeddings, router, experts, norms, output." in str(report)


def targets_of(case):
    return ("experts", "router", "attention") if case == "all" else ("attention.wq", "attention.wv")


def test_peft_loads_an_adapter_that_was_trained_here(saved, tmp_path):
    """Oracle: peft's logits after three steps of training here, in bf16 and with an adapter in fp32."""
    from peft import PeftModel

    ours = load_checkpoint(saved / "olmoe")
    apply_lora(ours, LoRAConfig(rank=2, alpha=8, seed=4))
    optimizer = torch.optim.AdamW([p for p in ours.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(3):
        ours(tokens()).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    save_adapter(ours, tmp_path / "ours")
    theirs = PeftModel.from_pretrained(base(saved, "olmoe"), tmp_path / "ours")
    torch.testing.assert_close(logits_of(theirs), logits_of(ours), rtol=1e-5, atol=1e-5)
    assert (logits_of(ours) - logits_of(base(saved, "olmoe"))).abs().max() > 1e-3


@pytest.fixture
def adapter(saved, tmp_path):
    trained_by_peft(saved, "all").save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def change_config(folder, **changes):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_an_adapter_for_another_model_lists_what_does_not_fit_and_changes_nothing(saved, adapter):
    """Oracle: peft's names and shapes for a model with 4 experts, 2 layers and 32 features."""
    other = MoEModel(moe_config(layers=3, hidden_size=48, heads=4, kv_heads=2, experts=6, expert_hidden_size=48))
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(MoEError, match="Remedy: load it onto the model") as error:
        load_adapter(other, adapter)
    told = str(error.value)
    assert "14 missing: base_model.model.model.layers.2.mlp.experts.base_layer.lora_A.weight" in told
    assert "layers.1.mlp.experts.base_layer.lora_A.weight is (12, 32), not (18, 48)" in told
    assert "layers.0.mlp.experts.lora_B.weight is (32, 12), not (48, 18)" in told
    assert other.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())
    assert all(parameter.requires_grad for parameter in other.parameters())


def test_tensors_that_no_matrix_has_are_listed_as_extra(saved, adapter):
    path = adapter / "adapter_model.safetensors"
    old = "base_model.model.model.layers.0.block_sparse_moe.experts.0.w1.lora_A.weight"
    save_file({**load_file(path), old: torch.ones(3, 32)}, path)
    with pytest.raises(MoEError, match=f"1 extra: {old}"):
        load_adapter(load_checkpoint(saved / "mixtral"), adapter)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"rank_pattern": {"q_proj": 4}}, "rank_pattern"),
        ({"layers_to_transform": [0]}, "layers_to_transform"),
        ({"peft_type": "IA3"}, "is no LoRA"),
        ({"r": 4}, r"is \(3, 32\), not \(4, 32\)"),
        ({"r": 0}, "rank=0"),
        ({"lora_alpha": "x"}, "alpha='x'"),
    ],
    ids=lambda value: next(iter(value)) + str(next(iter(value.values()))) if isinstance(value, dict) else "",
)
def test_what_peft_can_do_and_we_cannot_is_refused(saved, adapter, change, word):
    change_config(adapter, **change)
    with pytest.raises(MoEError, match=word):
        load_adapter(load_checkpoint(saved / "mixtral"), adapter)


def test_files_that_are_broken_or_absent_are_named(saved, adapter, tmp_path):
    model = load_checkpoint(saved / "mixtral")
    whole = copy_of(adapter, tmp_path / "whole")
    path = adapter / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(MoEError, match="no whole safetensors file"):
        load_adapter(model, adapter)
    path.unlink()
    with pytest.raises(MoEError, match=r"adapter_model\.safetensors' is not there"):
        load_adapter(model, adapter)
    (adapter / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(MoEError, match="has no adapter_config"):
        load_adapter(model, adapter)
    with pytest.raises(MoEError, match="has no adapter_config"):
        load_adapter(model, tmp_path / "nowhere")
    load_adapter(model, whole)
    with pytest.raises(MoEError, match="is there already"):
        save_adapter(model, whole)
    remove_lora(model)
    with pytest.raises(MoEError, match="is no adapter of this model"):
        save_adapter(model, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_adapters_of_shared_experts_have_no_name_in_pefts_files(tmp_path):
    model = MoEModel(moe_config(shared_experts=1))
    apply_lora(model)
    with pytest.raises(MoEError, match=r"shared\.w1"):
        save_adapter(model, tmp_path / "new")
