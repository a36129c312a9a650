"""Continuous batching. Oracle: each sequence on its own."""

import pytest
import torch

from course_lib.moe import MoEError
from course_lib.moe.inference import BatchedDecoder, Sampling, generate
from tests.moe.inference.small_models import VOCAB, mixture, tokens

REQUESTS = [
    (3, 12, Sampling()),
    (20, 5, Sampling(temperature=1.0, seed=1)),
    (9, 20, Sampling(temperature=0.8, top_p=0.9, seed=2)),
    (1, 7, Sampling()),
    (30, 9, Sampling(temperature=1.5, top_k=10, seed=3)),
]


def test_a_sequences_text_does_not_depend_on_its_neighbors():
    """Oracle: `generate` on each request alone."""
    model = mixture()
    prompts = [tokens(n, seed=n).tolist() for n, _, _ in REQUESTS]
    decoder = BatchedDecoder(model, max_sequences=3, max_tokens=120)
    waiting, owner, texts = list(range(len(REQUESTS))), {}, {i: [] for i in range(len(REQUESTS))}
    while waiting or decoder.running:
        if waiting and decoder.can_admit(len(prompts[waiting[0]]), REQUESTS[waiting[0]][1]):
            i = waiting.pop(0)
            owner[decoder.admit(prompts[i], REQUESTS[i][1], REQUESTS[i][2])] = i
        for slot, emitted in decoder.step().items():
            texts[owner[slot]].append(emitted.token)
            if emitted.finished:
                assert emitted.finished == "length"
                decoder.release(slot)
    assert decoder.free_slots == 3
    assert decoder.free_tokens == 128
    for i, (_, new, how) in enumerate(REQUESTS):
        alone = generate(
            model, prompts[i], new, temperature=how.temperature, top_p=how.top_p, top_k=how.top_k, seed=how.seed
        )
        assert texts[i] == alone


def test_log_probabilities_are_the_models():
    """Oracle: the full forward pass."""
    model = mixture()
    decoder = BatchedDecoder(model, max_sequences=1)
    slot = decoder.admit([1, 2, 3], 4)
    text, logprobs = [1, 2, 3], []
    while decoder.running:
        emitted = decoder.step()[slot]
        text.append(emitted.token)
        logprobs.append(emitted.logprob)
    with torch.no_grad():
        full = model(torch.tensor([text]))[0].log_softmax(-1)
    torch.testing.assert_close(torch.tensor(logprobs), full[torch.arange(2, 6), text[3:]], atol=1e-5, rtol=1e-5)


def test_a_stop_token_finishes_only_its_own_sequence():
    """Oracle: the text without a stop token."""
    model = mixture()
    text = generate(model, [5], 10)
    decoder = BatchedDecoder(model, max_sequences=2)
    stopped, other = decoder.admit([5], 10, Sampling(stop=(text[2],))), decoder.admit([5], 10)
    ends = {}
    while decoder.running:
        for slot, emitted in decoder.step().items():
            ends.setdefault(slot, []).append((emitted.token, emitted.finished))
    assert ends[stopped][-1] == (text[2], "stop")
    assert [token for token, _ in ends[other]] == text
    assert decoder.step() == {}


def test_logits_that_are_not_finite_end_their_sequence_and_no_other():
    """Oracle: the neighbor's text on its own."""
    model = mixture()
    model.tok_embeddings.weight.requires_grad_(False)[VOCAB - 1] = (
        1e30  # finite, but overflows behind the norm's square
    )
    model.output.register_forward_hook(
        lambda module, inputs, out: out.masked_fill(torch.isnan(out) | (inputs[0].abs().amax(-1, True) == 0), torch.nan)
    )
    decoder = BatchedDecoder(model, max_sequences=2)
    bad, good = decoder.admit([VOCAB - 1], 5), decoder.admit([5], 5)
    expected = generate(model, [5], 5)
    text, ended = [], []
    while decoder.running:
        for slot, emitted in decoder.step().items():
            if slot == good:
                text.append(emitted.token)
            else:
                ended.append((emitted.token, emitted.finished))
    assert text == expected
    assert ended == [(-1, "error")]
    decoder.release(bad)


def test_requests_beyond_slots_and_cache_are_refused_and_change_nothing():
    """Oracle: the decoder's own numbers."""
    decoder = BatchedDecoder(mixture(), max_sequences=2, max_tokens=48)
    with pytest.raises(MoEError, match="49 are more than the 48 tokens that the cache holds"):
        decoder.admit([1] * 40, 9)
    first = decoder.admit([1] * 20, 5)
    with pytest.raises(MoEError, match="do not fit into the 16 tokens that are free"):
        decoder.admit([1] * 20, 5)
    assert not decoder.can_admit(20, 5)
    assert decoder.can_admit(10, 6)
    decoder.admit([1], 5)
    with pytest.raises(MoEError, match="all slots are taken"):
        decoder.admit([1], 1)
    decoder.release(first)
    with pytest.raises(MoEError, match=f"slot={first} is not taken"):
        decoder.release(first)
    assert (decoder.free_slots, decoder.free_tokens) == (1, 32)


def test_a_prompt_that_breaks_the_model_leaves_no_slot_and_no_block_taken():
    """Oracle: the decoder's own numbers before; a NaN in the embedding of the prompt's token."""
    model = mixture()
    model.tok_embeddings.weight.data[7] = torch.nan
    decoder = BatchedDecoder(model, max_sequences=2, max_tokens=64)
    for _ in range(3):
        with pytest.raises(MoEError, match="router logits in layer 0"):
            decoder.admit([7], 5)
    assert (decoder.free_slots, decoder.free_tokens, decoder.running) == (2, 64, ())
