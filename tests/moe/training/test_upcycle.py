"""A mixture made from a dense model. Oracle: the dense model itself, and `F.linear` with one expert's matrices."""

import dataclasses

import pytest
import torch

from course_lib.distributed import TrainConfig, build_engine, markov_batches, train
from course_lib.models import GPT, tiny_config
from course_lib.moe import MoEConfig, MoEError, MoETrainConfig
from course_lib.moe.upcycle import upcycle
from tests.moe.training.cases import trained

DENSE = tiny_config(layers=2, hidden_size=32, heads=4, vocab_size=32)
UNGATED = dataclasses.replace(DENSE, gated_ffn=False)


def tokens(seed=0):
    return torch.randint(32, (3, 10), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [DENSE, UNGATED], ids=["gated", "ungated"])
@pytest.mark.parametrize(
    ("experts", "k", "options"),
    [
        (8, 2, {}),
        (4, 1, {}),
        (5, 5, {"softmax": "after"}),
        (8, 3, {"router": "sigmoid_bias"}),
        (4, 2, {"moe_every": 2}),
        (4, 2, {"first_dense_layers": 1, "execution": "loop"}),
    ],
    ids=["8-2", "4-1", "5-5-after", "sigmoid", "every-second", "first-dense"],
)
def test_the_outputs_are_the_dense_model_s(shape, experts, k, options):
    dense = GPT(shape, seed=4)
    model = upcycle(dense, experts, k, **options)
    torch.testing.assert_close(model(tokens()), dense(tokens()), rtol=1e-5, atol=1e-6)


def test_weights_that_do_not_sum_to_one_start_from_another_model():
    """The claim above would not hold without it."""
    dense = GPT(DENSE, seed=4)
    difference = upcycle(dense, 8, 2, normalize=False)(tokens()) - dense(tokens())
    assert difference.abs().max() > 1e-3


def test_every_expert_is_the_dense_block_and_shares_no_memory_with_it():
    dense = GPT(DENSE, seed=4)
    kept = {name: value.clone() for name, value in dense.state_dict().items()}
    model = upcycle(dense, 4, 2)
    block, experts = dense.layers["1"].feed_forward, model.layers["1"].feed_forward.experts
    for number in range(4):
        assert torch.equal(experts.up[number], torch.cat((block.w1.weight, block.w3.weight)))
        assert torch.equal(experts.down[number], block.w2.weight)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(value, kept[name]) for name, value in dense.state_dict().items())


def test_noise_is_relative_to_each_matrix_and_follows_the_seed():
    """Oracle: torch's standard deviation of what was added."""
    dense = GPT(tiny_config(layers=1, hidden_size=64, heads=4, vocab_size=32), seed=4)
    model, again, other = (upcycle(dense, 4, 2, noise=0.1, seed=seed) for seed in (7, 7, 8))
    experts, matrix = model.layers["0"].feed_forward.experts, dense.layers["0"].feed_forward.w2.weight
    added = (experts.down - matrix).detach()
    assert float(added.std()) == pytest.approx(0.1 * float(matrix.detach().std()), rel=0.05)
    assert not torch.equal(experts.down[0], experts.down[1])
    assert torch.equal(experts.down, again.layers["0"].feed_forward.experts.down)
    assert not torch.equal(experts.down, other.layers["0"].feed_forward.experts.down)


def upcycled_config(dense, **changes):
    model = upcycle(dense, 6, 2)
    settings = {"sequence_length": 8, "global_batch": 12, "learning_rate": 3e-3} | changes
    return MoETrainConfig(model=model.config, moe=MoEConfig.of(model.config), start=model.state_dict(), **settings)


def test_training_starts_at_the_dense_model_s_loss_and_goes_on_from_there():
    """Oracle: the next loss of the dense run that is not stopped."""
    config = upcycled_config(GPT(DENSE))
    engine = build_engine("single", TrainConfig(model=DENSE, sequence_length=8, global_batch=12, learning_rate=3e-3))
    text = markov_batches(engine.config)
    train(engine, text, 10)
    ours = build_engine("single", upcycled_config(engine.model))
    losses = train(ours, text, 15, first_step=10).losses
    assert losses[0] == pytest.approx(train(engine, text, 1, first_step=10).losses[0], rel=1e-5)
    assert losses[-1] < losses[0] < train(build_engine("single", config), text, 1, first_step=10).losses[0]
    down = ours.model.layers["0"].feed_forward.experts.down
    assert not torch.equal(down[0], down[1]), "the copies saw different tokens and stayed alike"


def test_ranks_start_from_it_as_well(launch_ranks):
    """Oracle: the same run in one process."""
    config = upcycled_config(GPT(DENSE, seed=4), seed=2)
    ours, reference = launch_ranks(lambda: trained("fsdp", config, 2), 2)[0], trained("single", config, 2)
    assert ours.losses == pytest.approx(reference.losses, rel=1e-5)


def test_a_bf16_model_stays_one():
    model = upcycle(GPT(DENSE).bfloat16(), 4, 2, noise=0.01)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: upcycle(upcycle(GPT(DENSE), 4, 2), 4, 2), "has experts already"),
        (lambda: upcycle(GPT(dataclasses.replace(DENSE, ffn_bias=True)), 4, 2), "ffn_bias=True"),
        (lambda: upcycle(GPT(DENSE), 4, 2, shared_experts=1), "shared_experts=1 would add to the output"),
        (lambda: upcycle(GPT(DENSE), 4, 2, noise=-1), "noise=-1 must be"),
        (lambda: upcycle(GPT(DENSE), 0, 2), "experts=0 must be"),
        (lambda: upcycle(GPT(DENSE), 2, 3), "experts_per_token"),
    ],
    ids=["mixture", "bias", "shared", "noise", "none", "k"],
)
def test_what_can_t_be_upcycled_is_refused(call, told):
    with pytest.raises(ValueError, match=told):
        call()


def test_the_refusals_are_ours():
    with pytest.raises(MoEError):
        upcycle(GPT(DENSE), 4, 2, noise=float("nan"))
