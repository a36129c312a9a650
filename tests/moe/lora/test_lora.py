"""LoRA on experts, router and attention. Oracle: dense weights W + scale B A in the plain model, and the loop."""

import copy

import pytest
import torch

from course_lib.models import GPT, MarkovText, language_model_loss, tiny_config
from course_lib.moe import MoEConfig, MoEError, MoEModel, moe_config, moe_layers
from course_lib.moe.checkpoints import save_checkpoint
from course_lib.moe.inference import generate
from course_lib.moe.lora import (
    LoRAConfig,
    adapter_names,
    apply_lora,
    merge_lora,
    remove_lora,
    trainable_report,
    unmerge_lora,
    use_adapter,
)
from course_lib.moe.lora.sites import sites

SHAPE = moe_config(layers=2, hidden_size=32, kv_heads=2, experts=4)
IDS = torch.randint(0, 64, (2, 11), generator=torch.Generator().manual_seed(0))


def made(shape=SHAPE, seed=1, **options):
    return MoEModel(shape, MoEConfig.of(shape, **options), seed=seed)


def randomize(model, seed=2, size=0.2):
    """Adapters as after training."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * size)


def by_hand(plain, adapted):
    """The plain model with W + scale * B A written into its weights, one matrix at a time."""
    names = {id(parameter): name for name, parameter in adapted.named_parameters()}
    with torch.no_grad():
        for site in sites(adapted):
            name = names[id(site.weight)].replace("parametrizations.weight.original", "weight")
            factors = site.adapters.stored(site.adapters.active)
            a, b = factors.a.reshape(-1, *factors.a.shape[-2:]), factors.b.reshape(-1, *factors.b.shape[-2:])
            weight = plain.get_parameter(name)
            for e, matrix in enumerate(weight.reshape(len(a), *weight.shape[-2:])):
                matrix += factors.scale * sum(torch.outer(b[e][:, r], a[e][r]) for r in range(a.shape[1]))
    return plain


@pytest.mark.parametrize(
    ("shape", "options", "lora"),
    [
        ({}, {}, {}),
        ({}, {"execution": "loop"}, {"rank": 3, "alpha": 1.0}),
        ({"shared_experts": 2, "first_dense_layers": 1}, {"router": "sigmoid_bias"}, {"rank_stabilized": True}),
        ({"experts": 1, "experts_per_token": 1}, {"router": "switch"}, {"rank": 1}),
        ({"experts_per_token": 4}, {"gated": True, "normalize": False}, {"rank": 40, "targets": ("experts",)}),
        ({"hidden_size": 36, "expert_hidden_size": 18}, {}, {"rank": 5, "targets": ("experts.down", "router")}),
    ],
    ids=["all", "loop", "shared", "one expert", "k = E", "odd sizes"],
)
def test_an_adapted_model_computes_what_dense_weights_give(shape, options, lora):
    """Oracle: the plain model with the product of the factors, summed over outer products, in its weights."""
    shape = moe_config(**({"layers": 2, "hidden_size": 32, "heads": 2, "experts": 4} | shape))
    model = made(shape, **options)
    plain = copy.deepcopy(model)
    apply_lora(model, LoRAConfig(**lora))
    with torch.no_grad():
        torch.testing.assert_close(model(IDS), plain(IDS), rtol=0, atol=1e-6)  # B starts at 0
        randomize(model)
        expected = by_hand(plain, model)(IDS)
        torch.testing.assert_close(model(IDS), expected, rtol=1e-5, atol=1e-5)
        merge_lora(model)
        torch.testing.assert_close(model(IDS), expected, rtol=1e-5, atol=1e-5)


def test_gradients_of_the_factors_are_those_of_the_product():
    """Oracle: autograd through W + scale B A as dense weights, by torch.func."""
    model = made()
    apply_lora(model, LoRAConfig(rank=3))
    randomize(model)
    language_model_loss(model(IDS), IDS).backward()
    plain = made()
    dense = {name: value.detach() for name, value in plain.named_parameters()}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    factors = {}
    for site in sites(model):
        name = names[id(site.weight)].replace("parametrizations.weight.original", "weight")
        stored = site.adapters.stored("default")
        a, b = (t.detach().clone().requires_grad_() for t in (stored.a, stored.b))
        dense[name] = dense[name] + stored.scale * torch.einsum("...or,...ri->...oi", b, a)
        factors[name] = (a, b, stored)
    language_model_loss(torch.func.functional_call(plain, dense, (IDS,)), IDS).backward()
    assert len(factors) == 2 * 7
    for a, b, stored in factors.values():
        torch.testing.assert_close(stored.a.grad, a.grad, rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(stored.b.grad, b.grad, rtol=1e-4, atol=1e-7)


def test_merged_adapters_come_out_bit_for_bit():
    """Oracle: a copy of the weights from before, in bf16, where adding and subtracting would round."""
    model = made().bfloat16()
    apply_lora(model)
    randomize(model)
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        unmerged = model(IDS)
        merge_lora(model)
        merged = model(IDS)
        changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
        assert len(changed) == 2 * 7
        unmerge_lora(model)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        assert torch.equal(model(IDS), unmerged)
    assert (merged - unmerged).abs().mean() < 0.1


@pytest.mark.parametrize("execution", ["grouped", "loop"])
def test_without_an_adapter_in_use_or_with_a_merged_one_the_bits_are_the_plain_models(execution):
    """Oracle: a model that never had adapters, with the same weights."""
    plain, model = made(execution=execution), made(execution=execution)
    apply_lora(model, LoRAConfig(rank=3))
    randomize(model)
    use_adapter(model, None)
    assert torch.equal(model(IDS), plain(IDS))
    use_adapter(model, "default")
    assert not torch.equal(model(IDS), plain(IDS))
    merge_lora(model)
    merged = model(IDS)
    remove_lora(model)
    plain.load_state_dict(model.state_dict())
    assert torch.equal(merged, plain(IDS))


def test_fine_tuning_takes_under_ten_lines_and_leaves_the_base_as_it_was(tmp_path):
    """Oracle: the base's bits from before; the entropy rate of the text, below which no loss can fall."""
    text = MarkovText(vocab_size=64, sharpness=4.0)
    model = made()
    before = copy.deepcopy(model.state_dict())
    losses = []

    apply_lora(model, LoRAConfig(rank=8))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for step in range(25):
        drawn = text.sample(16, 17, seed=step)
        loss = language_model_loss(model(drawn[:, :-1]), drawn[:, 1:])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())

    assert text.entropy_rate < losses[-1] < losses[0] - 0.2
    moved = [site for site in sites(model) if site.adapters.b["default"].abs().max() > 0]
    assert {site.matrix for site in moved} >= {"experts.up", "experts.down", "router", "attention.wq"}
    remove_lora(model)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_only_adapters_train_and_the_report_says_where():
    model = made()
    total = sum(parameter.numel() for parameter in model.parameters())
    report = apply_lora(model, LoRAConfig(rank=2, targets=("experts",)))
    trains = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert len(trains) == 2 * 2 * 2  # layers, matrices, factors
    assert all(".experts.lora_" in name for name in trains)
    assert report.parts == trainable_report(model).parts
    assert report["experts"].tensors == tuple(trains)
    assert report.frozen == ("embeddings", "attention", "router", "norms", "output")
    per_expert = 2 * (32 + 2 * 48) + 2 * (48 + 32)
    assert report.trainable == report["experts"].trainable == 2 * 4 * per_expert
    assert report.total == total + report.trainable
    remove_lora(model)
    assert trainable_report(model).trainable == total


def test_several_adapters_take_turns():
    model = made()
    with torch.no_grad():
        plain = model(IDS)
        apply_lora(model, LoRAConfig(rank=2), name="one")
        randomize(model, seed=3)
        one = model(IDS)
        apply_lora(model, LoRAConfig(rank=4, targets=("attention",)), name="two")
        randomize(model, seed=4)
        two = model(IDS)
        assert adapter_names(model) == ["one", "two"]
        assert all(".two" in name for name, p in model.named_parameters() if p.requires_grad)
        for name, expected in (("one", one), (None, plain), ("two", two)):
            use_adapter(model, name)
            torch.testing.assert_close(model(IDS), expected, rtol=0, atol=1e-6)
        remove_lora(model, "two")
        use_adapter(model, "one")
        torch.testing.assert_close(model(IDS), one, rtol=0, atol=1e-6)


def test_decoding_with_a_cache_uses_the_adapters():
    """Oracle: the same model's greedy choice by whole forward passes."""
    model = made().eval()
    apply_lora(model, LoRAConfig(rank=4))
    randomize(model, size=0.5)
    ids = IDS[:1, :5]
    produced = generate(model, ids[0].tolist(), 6)
    with torch.no_grad():
        for _ in range(6):
            ids = torch.cat((ids, model(ids)[:, -1:].argmax(-1)), dim=1)
    assert produced == ids[0, -6:].tolist()


def test_bf16_and_a_dense_model_can_be_adapted_too():
    model = made().bfloat16()
    apply_lora(model)
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    randomize(model)
    language_model_loss(model(IDS), IDS).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
    dense = GPT(tiny_config(layers=1))
    assert apply_lora(dense, LoRAConfig(targets=("attention",)))["attention"].trainable > 0


def test_a_single_token_and_experts_without_any_get_zero_gradients():
    model = made()
    apply_lora(model, LoRAConfig(targets=("experts",)))
    randomize(model)
    model(IDS[:1, :1]).square().sum().backward()
    layer = moe_layers(model)[0]
    unused = (layer.last_routing.load() == 0).nonzero().flatten().tolist()
    assert len(unused) == 2
    gradient = layer.experts.lora_up.a["default"].grad
    assert all(bool((gradient[e] == 0).all()) == (e in unused) for e in range(4))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"rank": 0}, "rank=0 must be a whole number of at least 1"),
        ({"rank": 2.5}, "rank=2.5"),
        ({"alpha": -1}, "alpha=-1"),
        ({"alpha": float("nan")}, "alpha=nan"),
        ({"targets": ("expert",)}, "targets='expert' is not known.*experts, "),
        ({"targets": "experts"}, "targets='experts' must be some names"),
        ({"targets": ()}, "must be some names"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_settings_out_of_their_domain_are_refused(options, word):
    with pytest.raises(MoEError, match=word):
        LoRAConfig(**options)


def test_misuse_is_refused_and_changes_nothing(tmp_path):
    model = made()
    names = list(model.state_dict())
    for work, word in (
        (lambda: merge_lora(model), "has no adapter in use"),
        (lambda: unmerge_lora(model), "has no merged adapter"),
        (lambda: use_adapter(model, "x"), "name='x' is no adapter"),
        (lambda: remove_lora(model, "x"), "name='x' is no adapter"),
        (lambda: apply_lora(model, name="a.b"), "must be letters"),
        (lambda: apply_lora(torch.nn.Linear(2, 2)), "is no GPT"),
        (lambda: apply_lora(GPT(tiny_config())), r"\['experts.up', 'experts.down', 'router'\] are in no block"),
        (lambda: apply_lora(made(router="hash")), "router='hash' has no matrix"),
    ):
        with pytest.raises(MoEError, match=word):
            work()
    assert list(model.state_dict()) == names
    apply_lora(model)
    with pytest.raises(MoEError, match="name='default' has been applied to this model already"):
        apply_lora(model)
    with pytest.raises(MoEError, match="merge_lora"):
        save_checkpoint(model, tmp_path / "new")
    merge_lora(model)
    for work in (lambda: apply_lora(model, name="two"), lambda: use_adapter(model, None), lambda: merge_lora(model)):
        with pytest.raises(MoEError, match="unmerge_lora"):
            work()
    remove_lora(model)
    save_checkpoint(model, tmp_path / "new")


def test_a_refused_target_leaves_a_dense_model_without_adapters():
    model = GPT(tiny_config())
    before = list(model.state_dict())
    with pytest.raises(MoEError, match="are in no block"):
        apply_lora(model, LoRAConfig(targets=("attention", "experts")))
    assert list(model.state_dict()) == before
