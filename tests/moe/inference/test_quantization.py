"""Weights in few bits. Oracle: bitsandbytes for NF4, the definition of each code for the others."""

import bitsandbytes.functional as bnb
import numpy as np
import pytest
import torch

from course_lib.moe import MoEError
from course_lib.moe.inference import generate, load_quantized, memory_report, quantize, save_quantized
from course_lib.moe.inference.quantization import NF4, SCHEMES, PackedExperts, PackedMatrix
from tests.moe.inference.small_models import dense, mixture, tokens


def weight(rows: int = 48, columns: int = 128) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("group", [64, 128])
def test_nf4_codes_and_values_are_bitsandbytes(group):
    """Oracle: bitsandbytes' quantize_4bit and dequantize_4bit."""
    packed = PackedMatrix.of(weight(), "nf4", group)
    codes, state = bnb.quantize_4bit(weight(), blocksize=group, quant_type="nf4")
    assert torch.equal(packed.codes.flatten(), codes.flatten())
    assert torch.equal(packed.scale.flatten(), state.absmax)
    assert torch.equal(packed.unpack(0, 48, torch.float32), bnb.dequantize_4bit(codes, state))


def test_the_16_values_are_bitsandbytes():
    """Oracle: bitsandbytes' get_4bit_type."""
    assert torch.equal(torch.tensor(NF4), bnb.get_4bit_type("nf4", device="cpu"))


@pytest.mark.parametrize(("scheme", "levels"), [("int8", 254), ("int4", 15)], ids=["int8", "int4"])
def test_an_integer_code_is_at_most_half_a_step_off(scheme, levels):
    """Oracle: the step of each group, from its largest and smallest weight."""
    w = weight()
    grouped = w.view(48, -1, 32)
    if scheme == "int8":
        step = 2 * grouped.abs().amax(-1, keepdim=True) / levels
    else:
        step = (grouped.amax(-1, keepdim=True) - grouped.amin(-1, keepdim=True)) / levels
    error = (PackedMatrix.of(w, scheme, 32).unpack(0, 48, torch.float32).view_as(grouped) - grouped).abs()
    assert bool((error <= step * 0.5 + step * 0.02).all())  # fp16 scales and smallest values add up to 2 % of a step


@pytest.mark.parametrize("spread", [0.01, 0.05, 0.3])
def test_int4_takes_the_nearest_of_its_values_where_rounding_moves_their_ends(spread):
    """Oracle: NumPy's nearest of low + code * scale; near 100, fp16 steps by 0.06: low lies beside the group."""
    w = 100.03 + spread * torch.rand(16, 64, generator=torch.Generator().manual_seed(2))
    packed = PackedMatrix.of(w, "int4", 32)
    codes = np.arange(16, dtype=np.float32)
    values = packed.low.float().numpy()[..., None] + codes * packed.scale.float().numpy()[..., None]  # (16, 2, 16)
    given = w.numpy().reshape(16, 2, 32, 1)
    nearest = np.abs(values[:, :, None] - given).min(-1)
    found = np.abs(packed.unpack(0, 16, torch.float32).numpy().reshape(16, 2, 32) - given[..., 0])
    np.testing.assert_allclose(found, nearest, atol=2e-5)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_groups_of_equal_and_of_tiny_numbers_survive(scheme):
    """Oracle: the weights themselves."""
    w = torch.zeros(3, 64)
    w[1], w[2] = 0.5, 1e-9
    out = PackedMatrix.of(w, scheme, 32).unpack(0, 3, torch.float32)
    torch.testing.assert_close(out, w, atol=1e-7, rtol=1e-3)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_fused_product_equals_the_product_with_unpacked_weights(scheme, monkeypatch):
    """Oracle: torch's matmul, block by block or at once."""
    monkeypatch.setattr("course_lib.moe.inference.quantization.packed.BLOCK_ELEMENTS", 7 * 128)
    packed = PackedMatrix.of(weight(), scheme, 32)
    x = torch.randn(2, 128, 3).transpose(1, 2)  # not contiguous
    torch.testing.assert_close(packed(x), x @ packed.unpack(0, 48, torch.float32).T, atol=1e-5, rtol=1e-5)
    assert packed(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_packed_model_decodes_as_its_full_pass_and_comes_back_from_disk(scheme, tmp_path):
    """Oracle: the packed model's own forward pass, and bits."""
    model = quantize(mixture(shared_experts=1, expert_hidden_size=32, tied_embeddings=True), scheme, group_size=16)
    x = tokens(1, 12)
    with torch.no_grad():
        full = model(x)
    text = generate(model, x[0].tolist(), 8)
    longer = torch.cat((x, torch.tensor([text])), 1)
    with torch.no_grad():
        assert model(longer)[0, 11:-1].argmax(-1).tolist() == text
    save_quantized(model, tmp_path / "model.safetensors")
    again = load_quantized(tmp_path / "model.safetensors")
    with torch.no_grad():
        assert torch.equal(again(x), full)
    assert not any(tensor.is_meta for tensor in (*again.parameters(), *again.buffers()))
    assert memory_report(again) == memory_report(model)


@pytest.mark.parametrize("scheme", ["int4", "nf4"])
def test_four_bits_take_at_most_030_of_bf16(scheme):
    """Oracle: bits counted by hand: 4 of 16, and 32 for each 64 weights."""
    report = memory_report(quantize(mixture(hidden_size=64, expert_hidden_size=64), scheme))
    assert report.packed_share == pytest.approx((4 + 32 / 64) / 16)
    assert report.packed_share <= 0.30
    assert report.packed_share < report.model_share < 1


def test_only_one_expert_is_unpacked_at_a_time():
    """Oracle: torch's profiler, which sees each allocation."""
    model = quantize(mixture(layers=1, hidden_size=64, expert_hidden_size=64, experts=16), "nf4", linears=False)
    experts = model.layers["0"].feed_forward.experts
    assert isinstance(experts, PackedExperts)
    x, counts = torch.randn(16, 64), torch.ones(16, dtype=torch.int64)
    one = 3 * 64 * 64 * 4  # bytes of one expert in fp32
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        experts(x, counts)
    held = most = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    assert one < most < 4 * one, "16 experts would take 16 times one"


def test_int8_can_share_one_scale_among_a_row():
    """Oracle: the number of scales."""
    model = quantize(dense(), "int8", group_size=0)
    assert model.layers["0"].attention.wq.packed.scale.shape == (32, 1)


@pytest.mark.parametrize(
    ("scheme", "group", "told"),
    [
        ("int3", 16, "scheme='int3' is not known"),
        ("nf4", 24, "=24 does not divide a row of 32 columns"),
        ("int4", 1, "=1 is odd"),
        ("nf4", 0, "=0 does not divide"),
        ("int8", -4, "=-4 does not divide"),
    ],
    ids=["scheme", "group", "odd", "zero", "negative"],
)
def test_what_cant_be_packed_is_refused_and_the_model_stays_as_it_was(scheme, group, told):
    """Oracle: the model's own text."""
    model = dense()
    before = generate(model, [1], 5)
    with pytest.raises(MoEError, match=told):
        quantize(model, scheme, group_size=group)
    assert generate(model, [1], 5) == before
    assert isinstance(model.layers["0"].attention.wq, torch.nn.Linear)


def test_weights_that_are_not_finite_are_named():
    """Oracle: where the NaN was put."""
    model = dense()
    with torch.no_grad():
        model.layers["1"].attention.wk.weight[0, 0] = torch.nan
    with pytest.raises(MoEError, match=r"layers.1.attention.wk='NaN or inf'"):
        quantize(model, "nf4", group_size=16)


def test_numbers_beyond_the_type_of_int4s_scales_are_refused():
    """Oracle: fp16 ends at 65504; unpacked, a larger number would be NaN."""
    model = dense()
    with torch.no_grad():
        model.layers["1"].attention.wk.weight[0, 0] = -7e4
    with pytest.raises(MoEError, match=r"layers.1.attention.wk=70000.0 .* fp16 .*nf4"):
        quantize(model, "int4", group_size=16)


def test_broken_files_are_refused(tmp_path):
    """Oracle: what was broken."""
    path = tmp_path / "model.safetensors"
    with pytest.raises(MoEError, match="can't be read"):
        load_quantized(path)
    with pytest.raises(MoEError, match="no packed weights"):
        save_quantized(dense(), path)
    save_quantized(quantize(dense(), "nf4", group_size=16), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(MoEError, match="can't be read"):
        load_quantized(path)
