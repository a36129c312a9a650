"""What is special about each router. Oracle: named in each test."""

import copy
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError
from course_lib.moe.layer import MoELayer
from course_lib.moe.routers import Hash, SoftMoELayer, make_router


def config(router="topk", **options):
    return MoEConfig(**({"hidden_size": 12, "expert_hidden_size": 8, "router": router} | options))


def tokens(count=200):
    return torch.randn(count, 12, generator=torch.Generator().manual_seed(1))


def sharp(router):
    torch.nn.init.normal_(router.weight, std=0.5, generator=torch.Generator().manual_seed(2))
    return router


def test_jitter_moves_scores_in_training_only_and_follows_the_seed():
    """Oracle: PyTorch's global generator."""
    router = sharp(make_router(config("switch", experts_per_token=1, jitter=0.1)))
    torch.manual_seed(0)
    first = router(tokens()).logits
    assert not torch.equal(first, router(tokens()).logits)
    torch.manual_seed(0)
    assert torch.equal(first, router(tokens()).logits)
    router.eval()
    plain = router(tokens()).logits
    assert torch.equal(plain, router(tokens()).logits)
    bound = 0.1 * (tokens().abs() @ router.weight.detach().abs().t())
    assert bool(((first - plain).abs() <= bound + 1e-5).all())


def test_noise_has_the_size_that_its_matrix_gives_and_is_absent_in_evaluation():
    """Oracle: softplus and the sample standard deviation over many draws."""
    router = sharp(make_router(config("noisy_topk")))
    torch.nn.init.normal_(router.noise_weight, std=0.5, generator=torch.Generator().manual_seed(3))
    x = tokens(1).expand(4000, 12)
    torch.manual_seed(0)
    noisy = router(x).probabilities.log()
    drawn = noisy[:, 1:] - noisy[:, :1]  # differences of scores, which a softmax keeps
    spread = F.softplus(x[:1] @ router.noise_weight.t())[0]
    np.testing.assert_allclose(
        drawn.std(0).detach(), (spread[1:].square() + spread[0].square()).sqrt().detach(), rtol=0.06
    )
    router.eval()
    assert router(tokens()).expected_load is None


def test_expected_load_is_the_chance_to_be_chosen_when_one_noise_is_drawn_again():
    """Oracle: 4,000 draws of each expert's noise while the others' stay as they are (Shazeer 2017, appendix A)."""
    router = sharp(make_router(config("noisy_topk", experts=5)))
    torch.manual_seed(4)
    routing = router(tokens(6))
    torch.manual_seed(4)
    noise = torch.randn(6, 5) * math.log(2)
    drawn = torch.zeros(5)
    for expert in range(5):
        again = (routing.logits + noise).detach().expand(4000, 6, 5).clone()
        again[..., expert] = routing.logits[:, expert] + torch.randn(4000, 6) * math.log(2)
        drawn[expert] = (again.topk(2, dim=-1).indices == expert).any(-1).float().mean(0).sum()
    torch.testing.assert_close(routing.expected_load.detach(), drawn, atol=0.08, rtol=0)


def test_expert_choice_gives_each_expert_its_best_tokens():
    """Oracle: NumPy's argsort of each column of the softmax."""
    router = sharp(make_router(config("expert_choice", experts=8, capacity_factor=1.5)))
    routing = router(tokens(64))
    assert routing.load().tolist() == [24] * 8  # 1.5 * 64 * 2 / 8
    columns = routing.probabilities.detach().numpy()
    for expert in range(8):
        taken = set(np.argsort(-columns[:, expert])[:24].tolist())
        assert set((routing.experts == expert).any(1).nonzero().squeeze(1).tolist()) == taken
    torch.testing.assert_close(routing.weights[routing.experts >= 0], routing.probabilities[routing.experts >= 0])


def test_base_is_balanced_in_training_and_greedy_afterwards():
    """Oracle: counting, and argmax."""
    router = sharp(make_router(config("base", experts_per_token=1)))
    router.weight.data[3] += 2 * tokens().mean(0) + 0.5
    assert int(router(tokens()).load().max()) == 25
    router.eval()
    routing = router(tokens())
    assert torch.equal(routing.experts[:, 0], routing.logits.argmax(-1))
    torch.testing.assert_close(routing.weights[:, 0], routing.logits.amax(-1).sigmoid())


def test_sinkhorn_balances_what_a_softmax_would_not():
    """Oracle: the loads of the same scores without a plan."""
    router = sharp(make_router(config("sinkhorn", experts_per_token=1)))
    x = tokens(400) + 1
    assert int(router(x).load().max()) < 70 < int(router.eval()(x).load().max())


@pytest.mark.parametrize("kind", ["random", "modulo"])
def test_a_hash_depends_on_id_and_seed_alone(kind):
    """Oracle: the same ids elsewhere, and a chi-squared bound for how evenly 64,000 ids spread over 64 experts."""
    router = Hash(config(experts=64, seed=5), kind=kind)
    ids = torch.arange(64_000)
    routing = router(torch.zeros(64_000, 12), ids)
    assert torch.equal(router(torch.ones(3, 12), ids[[7, 9, 7]]).experts, routing.experts[[7, 9, 7]])
    other = Hash(config(experts=64, seed=6), kind=kind)(torch.zeros(64_000, 12), ids)
    assert float((routing.experts == other.experts).float().mean()) < 0.05
    statistic = float(((routing.load() - 2000) ** 2 / 2000).sum())
    assert statistic < 120  # 63 degrees of freedom: more once in 50,000
    assert bool((routing.weights == 0.5).all())


def test_a_table_by_frequency_balances_text_whose_words_are_not_equally_frequent():
    """Oracle: Zipf's law, under which a hash leaves the experts of frequent words overfull."""
    frequencies = 1 / torch.arange(1, 2001).double()
    ids = torch.multinomial(frequencies, 20_000, replacement=True, generator=torch.Generator().manual_seed(0))
    x = torch.zeros(20_000, 12)
    at_random = Hash(config(experts_per_token=1))(x, ids).load().double()
    router = Hash(config(experts_per_token=1), frequencies=frequencies)
    balanced = router(x, ids).load().double()
    assert float(balanced.std() / balanced.mean()) < 0.05 < float(at_random.std() / at_random.mean())
    again = Hash(config(experts_per_token=1, seed=9), frequencies=frequencies)
    again.load_state_dict(router.state_dict())
    assert torch.equal(again(x, ids).experts, router(x, ids).experts)
    with pytest.raises(MoEError, match="ids=2000 must be from 0 to 1999"):
        router(x[:1], torch.tensor([2000]))
    with pytest.raises(MoEError, match=r"frequencies=\(3,\) must be"):
        Hash(config(), frequencies=torch.tensor([1.0, -1.0, torch.nan]))


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (None, r"ids=None are missing.*layer\(x, ids=tokens\)"),
        (torch.zeros(3, dtype=torch.int64), r"must be \(4,\) of int64"),
        (torch.zeros(4), "of torch.float32"),
        (torch.tensor([0, 1, 2, -1]), "ids=-1 must be 0 or more"),
    ],
    ids=["missing", "too-few", "fractions", "negative"],
)
def test_a_hash_router_refuses_ids_that_are_none(ids, words):
    """Oracle: the message names value, limit and remedy; `MoELayer` hands it on."""
    layer = MoELayer(config("hash"))
    with pytest.raises(MoEError, match=words):
        layer(tokens(4), ids=ids)


def test_a_task_learns_scores_of_its_own_and_keeps_to_its_experts():
    """Oracle: PyTorch's softmax over the experts that are allowed."""
    router = sharp(make_router(config("task", tasks=3)))
    task = torch.arange(60) % 3
    plain = sharp(make_router(config()))
    assert torch.equal(router(tokens(60), task=task).experts, plain(tokens(60)).experts)
    router.task_scores.data[1, 6] = 50
    router.allow(2, [0, 1, 2])
    routing = router(tokens(60), task=task)
    assert bool((routing.experts[task == 1] == 6).any(1).all())
    assert int(routing.experts[task == 2].max()) <= 2
    allowed = plain(tokens(60)).logits[task == 2][:, :3].softmax(-1)
    torch.testing.assert_close(routing.probabilities[task == 2][:, :3], allowed)
    assert routing.logits.isfinite().all()
    one = router(tokens(60), task=torch.tensor(1))
    assert bool((one.experts == 6).any(1).all())


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (None, "task=None is missing"),
        (torch.tensor([0, 1, 2, 3]), r"task=\[3\] is unknown. Remedy: use 0 to 2"),
        (torch.tensor([0, -1]), r"task='\(2,\) of torch.int64' must be \(4,\)"),
        (torch.zeros(4), "must be .* of int64"),
    ],
    ids=["missing", "unknown", "too-few", "fractions"],
)
def test_a_task_router_refuses_tasks_that_are_none(task, words):
    """Oracle: the message names value, limit and remedy."""
    router = make_router(config("task", tasks=3))
    with pytest.raises(MoEError, match=words):
        router(tokens(4), task=task)


def test_a_task_router_refuses_to_allow_what_cannot_be():
    """Oracle: the message names value, limit and remedy."""
    router = make_router(config("task", tasks=3))
    for bad, words in (((3, [0, 1]), "task=3 is unknown"), ((0, [8]), r"experts=\[8\]"), ((0, [1, 1]), "allow more")):
        with pytest.raises(MoEError, match=words):
            router.allow(*bad)


def test_soft_experts_equal_the_papers_formulas():
    """Oracle: the paper's algorithm 1 in NumPy with its l2 normalization, expert by expert."""
    layer = SoftMoELayer(config("soft", experts=3, slots_per_expert=2))
    torch.nn.init.normal_(layer.router.weight)
    layer.router.scale.data.fill_(2.5)
    x = tokens(20).reshape(2, 10, 12)
    out = layer(x).detach().numpy()
    phi = layer.router.weight.detach().numpy().T
    phi = 2.5 * phi / np.linalg.norm(phi, axis=0)
    up, down = layer.experts.up.detach().numpy(), layer.experts.down.detach().numpy()
    for sequence, got in zip(x.numpy(), out, strict=True):
        scores = np.exp(sequence / np.linalg.norm(sequence, axis=1, keepdims=True) @ phi)
        slots = (scores / scores.sum(0)).T @ sequence
        worked = np.zeros_like(slots)
        for slot in range(6):
            gate, value = np.split(up[slot // 2] @ slots[slot], 2)
            worked[slot] = down[slot // 2] @ (gate / (1 + np.exp(-gate)) * value)
        np.testing.assert_allclose(got, scores / scores.sum(1, keepdims=True) @ worked, atol=1e-6)


def test_soft_layers_take_one_sequence_bf16_and_no_tokens():
    """Oracle: the same sequence in a batch; a sum of gradients that reaches every parameter."""
    layer = SoftMoELayer(config("soft", execution="loop"), number=4)
    x = tokens(20).reshape(2, 10, 12)
    torch.testing.assert_close(layer(x[1]), layer(x)[1])
    assert layer.bfloat16()(x.bfloat16()).dtype == torch.bfloat16
    assert layer(x[:, :0].bfloat16()).shape == (2, 0, 12)
    layer(x.bfloat16()).sum().backward()
    assert all(float(parameter.grad.abs().sum()) > 0 for parameter in layer.parameters())
    x[1, 2, 3] = torch.inf
    with pytest.raises(MoEError, match="router logits in layer 4, token 12"):
        layer(x.bfloat16())
    with pytest.raises(MoEError, match=r"x=\(2, 10, 13\) must be \(sequences, seq, 12\)"):
        layer(torch.zeros(2, 10, 13))


@pytest.mark.parametrize("router", ["topk", "noisy_topk", "soft"])
def test_a_layer_can_be_copied_after_a_forward_pass(router):
    """Oracle: copy.deepcopy, which refuses tensors inside of a graph."""
    shape = config(router, execution="loop")
    layer = SoftMoELayer(shape) if router == "soft" else MoELayer(shape)
    x = tokens(20).reshape(2, 10, 12)
    layer(x)
    again = copy.deepcopy(layer).eval()
    torch.testing.assert_close(again(x), layer.eval()(x))
    assert again.router.place == layer.router.place
