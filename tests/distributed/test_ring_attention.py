"""Attention over a shared sequence. Oracle: F.scaled_dot_product_attention on the whole sequence and its autograd."""

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F

from course_lib.distributed import (
    TrainingSetupError,
    attended_pairs,
    ring_attention,
    ring_bytes,
    shard_positions,
    ulysses_attention,
    ulysses_bytes,
)

BATCH, HEADS, KV_HEADS, SEQ, DIM = 2, 12, 4, 24, 6


def whole_sequence(dtype, kv_heads):
    made = torch.Generator().manual_seed(3)
    heads = {"q": HEADS, "k": kv_heads, "v": kv_heads, "grad": HEADS}
    return {
        name: torch.randn(BATCH, n, SEQ, DIM, generator=made, dtype=torch.float64).to(dtype)
        for name, n in heads.items()
    }


def attend(x, attention):
    q, k, v = (x[name].detach().clone().requires_grad_() for name in "qkv")
    out = attention(q, k, v)
    out.backward(x["grad"])
    return {"out": out.detach(), "q": q.grad, "k": k.grad, "v": v.grad}


def compare_on_rank(kind, placement, dtype, kv_heads, tolerance):
    """Compare this rank's part with the whole; returns the bytes that it handed to its ring or its all-to-alls."""
    sent = []
    batch_isend_irecv, all_to_all_single = dist.batch_isend_irecv, dist.all_to_all_single

    def counted_ring(ops):
        sent.extend(op.tensor.numel() * op.tensor.element_size() for op in ops if op.op is dist.isend)
        return batch_isend_irecv(ops)

    def counted_exchange(output, piece, **kwargs):
        ranks = dist.get_world_size()
        sent.append(piece.numel() * piece.element_size() * (ranks - 1) // ranks)
        return all_to_all_single(output, piece, **kwargs)

    x = whole_sequence(dtype, kv_heads)
    exact = {name: value.double() for name, value in x.items()}
    reference = attend(exact, lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True))
    mine = shard_positions(SEQ, dist.get_world_size(), dist.get_rank(), placement)
    attention = (lambda q, k, v: ring_attention(q, k, v, None, placement)) if kind == "ring" else ulysses_attention
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dist, "batch_isend_irecv", counted_ring)
        patch.setattr(dist, "all_to_all_single", counted_exchange)
        ours = attend({name: value[:, :, mine] for name, value in x.items()}, attention)
    for name, value in ours.items():
        assert value.dtype == dtype
        wanted = reference[name][:, :, mine]
        torch.testing.assert_close(
            value.double(), wanted, rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )
    return sum(sent)


def all_in_float64():
    """Bytes that a rank sent: zigzag ring, contiguous ring, Ulysses (None where the ranks don't divide the heads)."""
    exact = (torch.float64, KV_HEADS, 1e-10)
    rings = [compare_on_rank("ring", placement, *exact) for placement in ("zigzag", "contiguous")]
    divides = KV_HEADS % dist.get_world_size() == 0
    return [*rings, compare_on_rank("ulysses", "contiguous", *exact) if divides else None]


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_shared_attention_and_its_gradients_equal_attention_over_the_whole_sequence(launch_ranks, ranks):
    """Oracle: F.scaled_dot_product_attention in float64. Bytes: (c - 1) blocks, 3 times; (c - 1) / c of all, twice."""
    shape = {"ranks": ranks, "batch": BATCH, "kv_heads": KV_HEADS, "tokens": SEQ // ranks, "head_dim": DIM}
    forward, backward = ring_bytes(**shape, bytes_per_element=8)
    assert backward == 2 * forward == 2 * (ranks - 1) * 2 * BATCH * KV_HEADS * (SEQ // ranks) * DIM * 8
    traded = sum(ulysses_bytes(**shape, heads=HEADS, bytes_per_element=8)) if KV_HEADS % ranks == 0 else None
    for sent in launch_ranks(all_in_float64, ranks):
        assert sent == [forward + backward, forward + backward, traded]


def one_key_head_and_bf16():
    single = compare_on_rank("ring", "zigzag", torch.float32, 1, 1e-4)
    return [single, compare_on_rank("ring", "zigzag", torch.bfloat16, HEADS, 3e-2)]


def test_one_key_head_and_bf16_work_alike(launch_ranks):
    """Oracle: F.scaled_dot_product_attention in float64 on the same numbers."""
    shape = {"ranks": 2, "batch": BATCH, "tokens": SEQ // 2, "head_dim": DIM}
    single, half = ring_bytes(**shape, kv_heads=1), ring_bytes(**shape, kv_heads=HEADS, bytes_per_element=2)
    assert half[1] == 3 * half[0], "gradients travel in fp32"
    for sent in launch_ranks(one_key_head_and_bf16, 2):
        assert sent == [sum(single), sum(half)]


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_zigzag_gives_each_rank_the_same_work_where_contiguous_pieces_do_not(ranks):
    """Oracle: the mask itself, counted pair by pair."""
    mask = torch.ones(SEQ, SEQ).tril()
    for placement in ("zigzag", "contiguous"):
        shards = [shard_positions(SEQ, ranks, rank, placement) for rank in range(ranks)]
        assert torch.equal(torch.cat(shards).sort().values, torch.arange(SEQ))
        assert attended_pairs(SEQ, ranks, placement) == [int(mask[shard].sum()) for shard in shards]
    assert len(set(attended_pairs(SEQ, ranks, "zigzag"))) == 1
    assert max(attended_pairs(SEQ, ranks, "contiguous")) > 1.4 * SEQ * (SEQ + 1) / 2 / ranks


@pytest.mark.parametrize(
    ("length", "ranks", "placement", "told"),
    [(10, 2, "zigzag", "Remedy: use 8 or 12"), (9, 2, "contiguous", "Remedy: use 8 or 10"), (8, 2, "spiral", "known")],
)
def test_a_sequence_that_does_not_divide_is_refused(length, ranks, placement, told):
    with pytest.raises(TrainingSetupError, match=told):
        shard_positions(length, ranks, 0, placement)
