"""Speculative decoding. Oracle: greedy `generate`, which speculates nothing."""

import pytest
import torch

from course_lib.moe import MoEError
from course_lib.moe.inference import generate, generate_speculatively
from course_lib.moe.inference.touched import fewer
from course_lib.moe.routing import Routing
from tests.moe.inference.small_models import dense, mixture, tokens


@pytest.mark.parametrize("draft_tokens", [1, 3, 8])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_text_is_that_of_greedy_decoding(draft_tokens, seed):
    """Oracle: `generate`."""
    model = mixture(seed=seed, experts_per_token=4)
    prompt = tokens(6, seed=seed).tolist()
    told = generate_speculatively(model, prompt, 40, draft_tokens=draft_tokens)
    assert told.tokens == generate(model, prompt, 40)
    assert 0 <= told.accepted <= told.drafted
    # each check gives the tokens it accepts and one more
    assert len(told.tokens) == 1 + told.accepted + told.checks


def test_a_draft_with_all_experts_is_never_wrong():
    """Oracle: the draft is the model then."""
    told = generate_speculatively(mixture(), [1, 2], 30, draft_experts=2)
    assert told.acceptance == 1
    assert told.checks == 6


def test_a_draft_keeps_the_weightiest_experts_and_the_sum_of_all_weights():
    """Oracle: by hand, for weights that are not sorted."""
    weights = torch.tensor([[0.1, 0.6, 0.3], [0.5, 0.2, 0.1]])
    experts = torch.tensor([[4, 2, 7], [1, 0, 3]])
    kept = fewer(Routing(experts, weights, torch.zeros(2, 8), torch.zeros(2, 8)), 2)
    assert kept.experts.tolist() == [[2, 7], [1, 0]]
    torch.testing.assert_close(kept.weights, torch.tensor([[2 / 3, 1 / 3], [4 / 7, 1.6 / 7]]))


def test_stop_tokens_and_short_texts_end_where_greedy_decoding_ends():
    """Oracle: `generate`."""
    model = mixture()
    text = generate(model, [7], 20)
    for stop in (text[0], text[5]):
        assert generate_speculatively(model, [7], 20, stop=[stop]).tokens == generate(model, [7], 20, stop=[stop])
    assert generate_speculatively(model, [7], 1).tokens == text[:1]
    assert generate_speculatively(dense(), [7], 5).tokens == generate(dense(), [7], 5)


def test_numbers_below_1_are_refused():
    """Oracle: the definitions of the numbers."""
    for options in ({"draft_tokens": 0}, {"draft_experts": 0}):
        with pytest.raises(MoEError, match=next(iter(options))):
            generate_speculatively(dense(), [1], 4, **options)
