"""Synthetic text: its entropy is what it says, and it does not depend on who draws it."""

import math

import pytest
import torch

from course_lib.models import Batches, MarkovText


def test_the_entropy_rate_of_a_two_state_chain_equals_the_textbooks_closed_form():
    """Oracle: Cover & Thomas, example 4.1.1: stationary (b, a)/(a+b), rate = sum of the rows' binary entropies."""
    text = MarkovText(2, seed=5, sharpness=1.0)
    a, b = float(text.transitions[0, 1]), float(text.transitions[1, 0])
    h = lambda p: -p * math.log(p) - (1 - p) * math.log(1 - p)  # noqa: E731
    assert text.entropy_rate == pytest.approx((b * h(a) + a * h(b)) / (a + b), rel=1e-9)


def test_without_sharpness_the_rate_is_log_vocab():
    """Oracle: the entropy of a uniform choice."""
    assert MarkovText(64, sharpness=0.0).entropy_rate == pytest.approx(math.log(64))


def test_drawn_text_has_the_chains_pairs():
    """Oracle: the share of pairs counted in 200,000 drawn tokens, within sampling error."""
    text = MarkovText(4, seed=1, sharpness=1.0)
    drawn = text.sample(2000, 100, seed=7)
    pairs = torch.zeros(4, 4)
    pairs.index_put_((drawn[:, :-1].flatten(), drawn[:, 1:].flatten()), torch.ones(()), accumulate=True)
    torch.testing.assert_close(pairs / pairs.sum(1, keepdim=True), text.transitions.float(), atol=0.01, rtol=0)


def test_a_batch_depends_on_its_number_and_the_seed_only():
    make = lambda seed: Batches(MarkovText(8), 4, 6, seed=seed)  # noqa: E731
    assert torch.equal(make(1)[3].tokens, make(1)[3].tokens)
    assert not torch.equal(make(1)[3].tokens, make(1)[4].tokens)
    assert not torch.equal(make(1)[3].tokens, make(2)[3].tokens)
    batch = make(1)[0]
    assert batch.tokens.shape == batch.targets.shape == (4, 6)
    assert torch.equal(batch.tokens[:, 1:], batch.targets[:, :-1])


@pytest.mark.parametrize(("arguments", "said"), [({"vocab_size": 1}, "2 to 4096"), ({"sharpness": -1}, "0 to 100")])
def test_a_number_out_of_range_is_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        MarkovText(**arguments)
