"""Every engine trains a mixture as one process does. Oracle: the same run in a single process."""

import pytest
import torch

from course_lib.distributed import build_engine, markov_batches
from course_lib.moe import moe_layers
from tests.distributed.curves import assert_equal_curves
from tests.moe.training.cases import BF16, CASES, LOSSES_OF_ONE_RANK, UNUSED, all_cases, one_process, trained

BF16_LOSS = 2e-2  # relative: bf16 keeps 8 bits, so that each operation rounds by up to 2**-8 = 0.4 %


@pytest.fixture(scope="module")
def two_ranks(launch_ranks):
    """All cases on two ranks, by engine and case, and what rank 1 has got."""
    return launch_ranks(all_cases, 2, ("ddp", "fsdp"))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("engine", ["ddp", "fsdp"])
def test_two_ranks_equal_one_process(two_ranks, engine, case):
    assert_equal_curves(two_ranks[0][engine, case], one_process(case))


@pytest.mark.parametrize("engine", ["ddp", "fsdp"])
@pytest.mark.parametrize("case", ["bias", "accumulate", "recompute"])
def test_the_selection_bias_is_the_same_on_all_ranks_and_has_moved(two_ranks, engine, case):
    """Oracle: rank 0 and one process, bit by bit: a step of the bias is a sign."""
    reference = one_process(case).weights
    names = [name for name in reference if name.endswith("router.bias")]
    assert len(names) == 2
    for name in names:
        assert reference[name].abs().max() > 0
        for of_rank in two_ranks:
            assert torch.equal(of_rank[engine, case].weights[name], reference[name])


@pytest.mark.parametrize("engine", ["ddp", "fsdp"])
def test_an_expert_without_tokens_hangs_no_rank_and_stays_as_it_is(two_ranks, engine):
    """DeepSpeed issue 4808. Oracle: its initial weights: under AdamW a zero gradient moves nothing."""
    start = CASES["unused"].start
    weights = two_ranks[0][engine, "unused"].weights
    for name in (name for name in weights if ".experts." in name):
        assert torch.equal(weights[name][UNUSED], start[name][UNUSED])
        assert not torch.equal(weights[name][UNUSED - 1], start[name][UNUSED - 1])


def test_ranks_in_other_numbers_and_layouts_equal_one_process(launch_ranks):
    def of_rank(engine, cases):
        return [trained(engine, CASES[case]) for case in cases]

    for ranks, engine, cases in [(3, "ddp", ["bias", "balance"]), (4, "hybrid", ["recompute"])]:
        for ours, case in zip(launch_ranks(of_rank, ranks, engine, cases)[0], cases, strict=True):
            assert_equal_curves(ours, one_process(case))
            for name, value in one_process(case).weights.items():
                assert not name.endswith("router.bias") or torch.equal(ours.weights[name], value)


def test_a_loss_over_each_ranks_own_tokens_is_another_loss(launch_ranks):
    """The tests above would not pass with it: what ranks count for themselves is not what they count together."""
    reference = one_process("balance").weights
    ours = launch_ranks(lambda: trained("ddp", LOSSES_OF_ONE_RANK), 2)[0].weights
    assert max(float((ours[name] - value).abs().max()) for name, value in reference.items()) > 1e-3


def test_bf16_follows_the_fp32_curve_within_its_rounding(launch_ranks):
    def of_rank():
        return [trained(engine, BF16) for engine in ("ddp", "fsdp")]

    reference = one_process("balance")
    for ours in [*launch_ranks(of_rank, 2)[0], trained("single", BF16)]:
        torch.testing.assert_close(torch.tensor(ours.losses), torch.tensor(reference.losses), rtol=BF16_LOSS, atol=0)
        assert ours.losses != reference.losses, "nothing was computed in bf16"
        assert {value.dtype for value in ours.weights.values()} == {torch.float32}


@pytest.mark.parametrize("case", ["balance", "recompute", "accumulate"])
def test_a_step_counts_every_token_once(case):
    """Oracle: k experts times the tokens of the batch; a second forward pass, to recompute, must not count."""
    config = CASES[case]
    engine = build_engine("single", config)
    engine.forward_backward(markov_batches(config)[0])
    pairs = config.global_batch * config.sequence_length * config.model.experts_per_token
    assert [int(layer.load_in_step.sum()) for layer in moe_layers(engine.model)] == [pairs, pairs]
    engine.step(markov_batches(config)[1])
    assert [layer.load_in_step for layer in moe_layers(engine.model)] == [None, None]
