"""A mixture beside the dense model that costs as much per token."""

import dataclasses

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from course_lib.distributed import warmup_cosine
from course_lib.models import GPT
from course_lib.moe import MoEConfig, MoEError, MoEModel, MoETrainConfig, moe_config
from course_lib.moe.compare import compare, dense_config, dense_twin
from course_lib.moe.corpus import load_corpus

SHAPES = {
    "plain": moe_config(layers=2, hidden_size=32, vocab_size=40, experts=8, experts_per_token=2),
    "shared": moe_config(layers=3, hidden_size=32, vocab_size=40, experts=16, experts_per_token=4, shared_experts=1),
    "every-second": moe_config(layers=4, hidden_size=32, vocab_size=40, experts=4, experts_per_token=1, moe_every=2),
    "first-dense": moe_config(layers=3, hidden_size=32, vocab_size=40, experts=8, first_dense_layers=1),
}


def forward_flops(model):
    tokens = torch.zeros(2, 16, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(tokens)
    return counter.get_total_flops() / tokens.numel()


@pytest.mark.parametrize("name", SHAPES)
def test_the_dense_twin_does_as_much_work_and_hardly_more(name):
    """Oracle: torch's FlopCounterMode over both models."""
    shape = SHAPES[name]
    mixture = forward_flops(MoEModel(shape, MoEConfig.of(shape, execution="loop")))
    dense = forward_flops(GPT(dense_twin(shape)))
    column = 2 * shape.layers * 3 * shape.hidden_size  # FLOPs of one more inner column in every layer
    assert mixture <= dense < mixture + column


def test_a_dense_shape_has_no_twin():
    with pytest.raises(MoEError, match="has no experts"):
        dense_twin(dense_twin(SHAPES["plain"]))


def small(**changes):
    corpus = load_corpus(("code", "satire"))
    model = moe_config(layers=1, hidden_size=16, heads=2, vocab_size=corpus.vocab_size, experts=4)
    moe = MoEConfig.of(model, balance_loss=0.02)
    settings = {"sequence_length": 16, "global_batch": 4, "learning_rate": 6e-3, "weight_decay": 0.1, "seed": 3}
    return MoETrainConfig(model=model, moe=moe, **(settings | changes)), corpus


def test_both_runs_see_the_same_batches_and_are_judged_on_the_same_windows():
    """Oracle: each model's own first loss, computed from the corpus's batch."""
    config, corpus = small()
    found = compare(config, corpus, 2, windows_per_domain=3)
    batch = corpus.batches("train", 4, 16, seed=3)[0]
    for one in (found.moe, found.dense):
        logits = one.config.build_model()(batch.tokens)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
        assert one.losses[0] == pytest.approx(loss.item(), rel=1e-5)
        assert one.validation.tokens.tolist() == [48, 48]
        assert one.total_parameters == sum(p.numel() for p in one.model.parameters())
    assert found.dense.active_parameters == found.dense.total_parameters
    assert found.moe.active_parameters <= found.dense.active_parameters < found.moe.total_parameters
    assert found.moe.flops_per_token == pytest.approx(found.dense.flops_per_token, rel=0.01)
    assert found.perplexity_ratio == found.moe.validation.perplexity / found.dense.validation.perplexity


@pytest.mark.slow
def test_ranks_compare_as_one_process_does(launch_ranks):
    """Oracle: the same comparison in one process."""
    config, corpus = small()
    ours = compare(config, corpus, 3, engine="ddp", world_size=2, windows_per_domain=2, launcher=launch_ranks)
    reference = compare(config, corpus, 3, windows_per_domain=2)
    assert ours.moe.losses == pytest.approx(reference.moe.losses, rel=1e-5)
    assert ours.dense.losses == pytest.approx(reference.dense.losses, rel=1e-5)
    assert ours.perplexity_ratio == pytest.approx(reference.perplexity_ratio, rel=1e-3)


def test_the_dense_run_differs_in_its_model_alone():
    config, _ = small()
    dense = dense_config(config)
    for field in dataclasses.fields(dense):
        assert field.name == "model" or getattr(dense, field.name) == getattr(config, field.name)


def test_a_model_for_another_vocabulary_is_refused():
    config, _ = small()
    config = dataclasses.replace(config, model=SHAPES["plain"], moe=None)
    with pytest.raises(MoEError, match="vocab_size=40 is not the corpus's 2048"):
        compare(config, load_corpus(("satire",)), 1)


@pytest.mark.slow
def test_eight_experts_beat_their_dense_twin_and_share_the_work():
    """Oracle: the dense model at equal active FLOPs; 20 % is the spread of load that the course allows."""
    corpus = load_corpus()
    model = moe_config(layers=2, hidden_size=64, heads=4, vocab_size=corpus.vocab_size, expert_hidden_size=128)
    config = MoETrainConfig(
        model=model,
        moe=MoEConfig.of(model, balance_loss=0.05),
        global_batch=16,
        learning_rate=5e-3,
        clip_norm=1.0,
    )
    found = compare(config, corpus, 200, schedule=warmup_cosine(20, 200), windows_per_domain=64)
    assert found.perplexity_ratio < 1
    assert max(found.moe.validation.load_variations) < 0.2
