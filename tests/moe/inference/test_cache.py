"""Prefill and decoding over the paged cache. Oracle: the model's own full forward pass, which uses none of it."""

import pytest
import torch

from course_lib.catalog import gpt_config
from course_lib.models import GPT
from course_lib.moe import MoEConfig, MoEError, MoEModel, moe_config
from course_lib.moe.inference import PagedCache, cached_forward, generate
from tests.moe.inference.small_models import VOCAB, dense, mixture, sharpened, tokens

MODELS = {
    "dense": dense,
    "learned-positions": lambda: sharpened(
        GPT(gpt_config(layers=2, hidden_size=32, heads=2, vocab_size=VOCAB, context_length=64))
    ),
    "mixture": mixture,
    "one-expert": lambda: mixture(experts=1, experts_per_token=1),
    "k-is-e": lambda: mixture(experts=4, experts_per_token=4),
    "shared-and-dense-layers": lambda: mixture(shared_experts=1, first_dense_layers=1, tied_embeddings=True),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("split", [(24,), (1,) * 24, (7, 10, 1, 6), (23, 1)], ids=["whole", "single", "parts", "last"])
def test_any_split_of_a_sequence_gives_the_full_passs_logits(name, split):
    """Oracle: the full forward pass."""
    model, x = MODELS[name](), tokens(2, 24)
    with torch.no_grad():
        full = model(x)
    cache = PagedCache.of(model, tokens=64, block_size=5)
    handles = [cache.open(24), cache.open(24)]
    parts = [cached_forward(model, part, cache, handles, every_logit=True) for part in x.split(split, dim=1)]
    torch.testing.assert_close(torch.cat(parts, 1), full, atol=1e-5, rtol=1e-5)


def test_sequences_of_different_lengths_decode_together():
    """Oracle: the full forward pass on each alone."""
    model, texts = mixture(), [tokens(1, n, seed=n) for n in (3, 17, 9)]
    cache = PagedCache.of(model, tokens=96, block_size=4)
    handles = [cache.open(n.shape[1] + 1) for n in texts]
    for text, handle in zip(texts, handles, strict=True):
        cached_forward(model, text, cache, [handle])
    together = cached_forward(model, torch.tensor([[5], [6], [7]]), cache, handles)
    for row, text, new in zip(together, texts, (5, 6, 7), strict=True):
        with torch.no_grad():
            alone = model(torch.cat((text, torch.tensor([[new]])), 1))[0, -1]
        torch.testing.assert_close(row[0], alone, atol=1e-5, rtol=1e-5)


def test_a_hash_router_sees_the_tokens_while_decoding():
    """Oracle: the full forward pass."""
    config = moe_config(layers=2, hidden_size=32, vocab_size=128)
    model = sharpened(MoEModel(config, MoEConfig.of(config, router="hash")))
    x = tokens(1, 12)
    with torch.no_grad():
        full = model(x)
    cache = PagedCache.of(model, tokens=12)
    handle = cache.open(12)
    parts = [cached_forward(model, part, cache, [handle]) for part in x.split(1, dim=1)]
    torch.testing.assert_close(torch.cat(parts, 1), full, atol=1e-5, rtol=1e-5)


def test_a_block_that_held_nan_does_not_poison_its_next_owner():
    """Oracle: the full forward pass."""
    model, x = mixture(), tokens(1, 9)
    cache = PagedCache.of(model, tokens=32)
    first = cache.open(32)
    cache.keys.fill_(torch.nan)
    cache.values.fill_(torch.nan)
    cache.close(first)
    cache.keys[:, :16], cache.values[:, :16] = 0, 0  # block 0 is nobody's
    handle = cache.open(9)
    with torch.no_grad():
        full = model(x)[:, -1:]
    torch.testing.assert_close(cached_forward(model, x, cache, [handle]), full, atol=1e-5, rtol=1e-5)


def test_blocks_that_held_nan_do_not_poison_sequences_that_share_a_step():
    """Oracle: the full forward pass; the shorter sequence's rows beyond its end are hidden, not absent."""
    model, texts = mixture(), [tokens(1, n, seed=n) for n in (3, 14)]
    cache = PagedCache.of(model, tokens=64)
    first = cache.open(64)
    cache.keys[:, 16:], cache.values[:, 16:] = torch.nan, torch.nan
    cache.close(first)
    handles = [cache.open(32), cache.open(32)]
    for text, handle in zip(texts, handles, strict=True):
        cached_forward(model, text, cache, [handle])
    together = cached_forward(model, torch.tensor([[5], [6]]), cache, handles)
    for row, text, new in zip(together, texts, (5, 6), strict=True):
        with torch.no_grad():
            alone = model(torch.cat((text, torch.tensor([[new]])), 1))[0, -1]
        torch.testing.assert_close(row[0], alone, atol=1e-5, rtol=1e-5)


def test_a_cut_sequence_goes_on_as_if_the_rest_had_never_been():
    """Oracle: the full forward pass."""
    model, x = mixture(), tokens(1, 12)
    cache = PagedCache.of(model, tokens=32)
    handle = cache.open(20)
    cached_forward(model, torch.cat((x[:, :8], tokens(1, 4, seed=9)), 1), cache, [handle])
    cache.truncate(handle, 8)
    with torch.no_grad():
        full = model(x)[:, 8:]
    rest = cached_forward(model, x[:, 8:], cache, [handle], every_logit=True)
    torch.testing.assert_close(rest, full, atol=1e-5, rtol=1e-5)
    with pytest.raises(MoEError, match="length=13"):
        cache.truncate(handle, 13)


def test_a_bf16_model_keeps_its_keys_in_bf16_and_its_text():
    """Oracle: greedy choice of the full forward pass in bf16, within what bf16 can tell apart."""
    model, x = mixture().bfloat16(), tokens(1, 9)
    cache = PagedCache.of(model, tokens=16)
    handle = cache.open(16)
    out = cached_forward(model, x, cache, [handle])
    assert cache.keys.dtype == out.dtype == torch.bfloat16
    with torch.no_grad():
        torch.testing.assert_close(out.float(), model(x)[:, -1:].float(), atol=0.1, rtol=0.1)


def test_closed_sequences_give_their_blocks_back():
    """Oracle: arithmetic."""
    cache = PagedCache.of(mixture(), tokens=40, block_size=8)
    handles = [cache.open(9), cache.open(8), cache.open(16)]
    assert cache.free_tokens == 0
    with pytest.raises(MoEError, match="do not fit"):
        cache.open(1)
    for handle in (handles[1], handles[0], handles[2]):
        cache.close(handle)
    assert cache.free_tokens == 40


@pytest.mark.parametrize(
    ("options", "told"),
    [({"router": "expert_choice"}, "yet to come"), ({"capacity_factor": 1.0}, "capacity_factor=None")],
    ids=["expert-choice", "capacity"],
)
def test_routing_that_looks_at_other_tokens_is_refused(options, told):
    """Oracle: the definition of causal."""
    config = moe_config(layers=1, hidden_size=32)
    with pytest.raises(MoEError, match=told):
        generate(MoEModel(config, MoEConfig.of(config, **options)), [1], 2)
