"""layer_activations. Oracle: tensors that PyTorch's autograd really saves while a layer runs in bf16 on a CPU."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.arithmetic import layer_activations
from course_lib.catalog import ModelConfig, gpt_config

B, S, H, HEADS, KV_HEADS, FFN, EXPERTS, TOP_K = 2, 16, 32, 4, 2, 48, 4, 2


class SavedBytes:
    """Adds up the storages that autograd saves, parameters, integer indices and the norms' two statistics aside."""

    def __init__(self, parameters):
        self.known = {p.untyped_storage().data_ptr() for p in parameters}
        self.kept = {}

    def pack(self, tensor):
        storage = tensor.untyped_storage()
        statistics = tensor.shape[-1] == 1
        if tensor.dtype.itemsize < 8 and not statistics and storage.data_ptr() not in self.known:
            self.kept[storage.data_ptr()] = tensor  # holding it keeps its address from being used again
        return tensor

    @property
    def total(self):
        return sum(t.untyped_storage().nbytes() for t in self.kept.values())


def saved_bytes(layer, *weights):
    import torch

    x = torch.randn(B, S, H, dtype=torch.bfloat16, requires_grad=True)
    meter = SavedBytes(weights)
    with torch.autograd.graph.saved_tensors_hooks(meter.pack, lambda t: t):
        layer(x, *weights)
    return meter.total


def weight(*shape):
    import torch

    return torch.randn(*shape, dtype=torch.bfloat16, requires_grad=True)


def attention(x, query, key_value, output, *, kv_heads, drop):
    import torch

    groups = HEADS // kv_heads
    d = H // HEADS
    q = (x @ query).view(B, S, kv_heads, groups, d).permute(0, 2, 3, 1, 4).reshape(B, kv_heads, groups * S, d)
    key, value = (x @ key_value).view(B, S, 2, kv_heads, d).permute(2, 0, 3, 1, 4)
    scores = torch.softmax((q @ key.contiguous().transpose(-1, -2)) * d**-0.5, dim=-1)
    if drop:
        scores = torch.native_dropout(scores, 0.1, True)[0]
    mixed = (scores @ value.contiguous()).view(B, kv_heads, groups, S, d).permute(0, 3, 1, 2, 4).reshape(B, S, H)
    return mixed @ output


def norm(x):
    import torch

    return torch.nn.functional.layer_norm(x, x.shape[-1:])


def gpt_layer(x, query, key_value, output, up, down):
    import torch

    x = x + torch.native_dropout(attention(norm(x), query, key_value, output, kv_heads=HEADS, drop=True), 0.1, True)[0]
    return x + torch.native_dropout(torch.nn.functional.gelu(norm(x) @ up) @ down, 0.1, True)[0]


def llama_layer(x, query, key_value, output, gate, up, down):
    import torch

    x = x + attention(norm(x), query, key_value, output, kv_heads=KV_HEADS, drop=False)
    y = norm(x)
    return x + (torch.nn.functional.silu(y @ gate) * (y @ up)) @ down


def moe_layer(x, query, key_value, output, router, gate, up, down):
    """Mixtral's layer with every expert given the same number of tokens."""
    import torch

    x = x + attention(norm(x), query, key_value, output, kv_heads=KV_HEADS, drop=False)
    y = norm(x).view(-1, H)
    probabilities = torch.softmax(y @ router, dim=-1, dtype=torch.float32)
    result = torch.zeros_like(y)
    tokens = torch.arange(B * S)
    for expert in range(EXPERTS):
        mine = tokens[(tokens % EXPERTS - expert) % EXPERTS < TOP_K]
        copied = y[mine]
        out = (torch.nn.functional.silu(copied @ gate[expert]) * (copied @ up[expert])) @ down[expert]
        share = probabilities[mine, expert].to(torch.bfloat16).unsqueeze(-1)
        # index_add would keep a needless copy of its source
        result = result.index_put((mine,), out * share, accumulate=True)
    return x + result.view(B, S, H)


Q_RANK, KV_RANK, NOPE, ROPE, VALUE = 20, 12, 8, 4, 6


def latent_layer(x, q_down, q_up, kv_down, kv_up, output, gate, up, down):
    """DeepSeek-V3's dense layer; the rotation itself is left out, since its backward pass needs no activation."""
    import torch

    y = norm(x)
    query = (norm(y @ q_down) @ q_up).view(B, S, HEADS, NOPE + ROPE).transpose(1, 2)
    latent, rotary_key = (y @ kv_down).split([KV_RANK, ROPE], dim=-1)
    key_value = (norm(latent.clone()) @ kv_up).view(B, S, HEADS, NOPE + VALUE).transpose(1, 2)
    plain_key, value = key_value.split([NOPE, VALUE], dim=-1)
    key = torch.cat([plain_key, rotary_key.unsqueeze(1).expand(B, HEADS, S, ROPE)], dim=-1)
    scores = torch.softmax((query.contiguous() @ key.transpose(-1, -2)) * NOPE**-0.5, dim=-1)
    x = x + (scores @ value.contiguous()).transpose(1, 2).reshape(B, S, HEADS * VALUE) @ output
    y = norm(x)
    return x + (torch.nn.functional.silu(y @ gate) * (y @ up)) @ down


def test_a_latent_attention_layer_keeps_what_autograd_saves():
    """Oracle: autograd's saved tensors of a hand-written DeepSeek layer."""
    measured = saved_bytes(
        latent_layer, weight(H, Q_RANK), weight(Q_RANK, HEADS * (NOPE + ROPE)), weight(H, KV_RANK + ROPE),
        weight(KV_RANK, HEADS * (NOPE + VALUE)), weight(HEADS * VALUE, H), weight(H, FFN), weight(H, FFN),
        weight(FFN, H),
    )  # fmt: skip
    shape = ModelConfig(
        name="deepseek", vocab_size=9, hidden_size=H, layers=1, heads=HEADS, ffn_hidden_size=FFN, gated_ffn=True,
        q_lora_rank=Q_RANK, kv_lora_rank=KV_RANK, qk_nope_head_dim=NOPE, qk_rope_head_dim=ROPE, v_head_dim=VALUE,
    )  # fmt: skip
    assert layer_activations(shape, microbatch=B, sequence_length=S).total_bytes == measured


def test_a_gpt_layer_keeps_34_sbh_plus_5_as2b_bytes():
    """Oracle: autograd's saved tensors of a hand-written GPT layer."""
    measured = saved_bytes(gpt_layer, weight(H, H), weight(H, 2 * H), weight(H, H), weight(H, 4 * H), weight(4 * H, H))
    shape = gpt_config(hidden_size=H, layers=1, heads=HEADS)
    ours = layer_activations(shape, microbatch=B, sequence_length=S)
    assert ours.total_bytes == measured == 34 * S * B * H + 5 * HEADS * S**2 * B


def test_a_gated_grouped_query_layer_keeps_what_autograd_saves():
    """Oracle: autograd's saved tensors of a hand-written Llama layer."""
    kv = KV_HEADS * H // HEADS
    measured = saved_bytes(
        llama_layer, weight(H, H), weight(H, 2 * kv), weight(H, H), weight(H, FFN), weight(H, FFN), weight(FFN, H)
    )
    shape = ModelConfig(
        name="llama", vocab_size=9, hidden_size=H, layers=1, heads=HEADS, kv_heads=KV_HEADS, ffn_hidden_size=FFN,
        gated_ffn=True,
    )  # fmt: skip
    assert layer_activations(shape, microbatch=B, sequence_length=S).total_bytes == measured


def test_a_mixture_layer_keeps_what_autograd_saves():
    """Oracle: autograd's saved tensors of a hand-written Mixtral layer with balanced routing."""
    kv = KV_HEADS * H // HEADS
    measured = saved_bytes(
        moe_layer, weight(H, H), weight(H, 2 * kv), weight(H, H), weight(H, EXPERTS),
        weight(EXPERTS, H, FFN), weight(EXPERTS, H, FFN), weight(EXPERTS, FFN, H),
    )  # fmt: skip
    shape = ModelConfig(
        name="mixtral", vocab_size=9, hidden_size=H, layers=1, heads=HEADS, kv_heads=KV_HEADS, ffn_hidden_size=FFN,
        gated_ffn=True, experts=EXPERTS, experts_per_token=TOP_K,
    )  # fmt: skip
    assert layer_activations(shape, microbatch=B, sequence_length=S).total_bytes == measured


@given(
    b=st.integers(1, 8), s=st.integers(1, 4096), heads=st.sampled_from([8, 16, 40]), d=st.sampled_from([64, 128]),
    t=st.sampled_from([1, 2, 4, 8]),
)  # fmt: skip
def test_every_row_of_korthikantis_table_holds_for_any_gpt_shape(b, s, heads, d, t):
    """Oracle: the five closed forms of Korthikanti et al., Table 2."""
    h, a = heads * d, heads
    shape = gpt_config(hidden_size=h, layers=1, heads=a)

    def ours(**options):
        return layer_activations(shape, microbatch=b, sequence_length=s, tensor_parallel=t, **options).total_bytes / (
            s * b * h
        )

    ratio = a * s / h
    assert ours() == pytest.approx(10 + 24 / t + 5 * ratio / t)
    assert ours(sequence_parallel=True) == pytest.approx((34 + 5 * ratio) / t)
    assert ours(recomputation="selective") == pytest.approx(10 + 24 / t)
    assert ours(recomputation="selective", sequence_parallel=True) == pytest.approx(34 / t)
    assert ours(recomputation="full") == pytest.approx(2)


@pytest.mark.parametrize("name", ["llama3-8b", "mixtral-8x7b", "deepseek-v3", "gpt3-175b", "gpt-oss-20b"])
def test_each_saving_saves(name):
    """Oracle: none >= flash > selective > full; sequence parallelism never adds; the parts add up."""
    kept = [
        layer_activations(name, sequence_length=2048, tensor_parallel=4, **options)
        for options in ({}, {"flash_attention": True}, {"recomputation": "selective"}, {"recomputation": "full"})
    ]
    assert [k.total_bytes for k in kept] == sorted((k.total_bytes for k in kept), reverse=True)
    for k in kept:
        assert k.total_bytes == pytest.approx(k.replicated_bytes + k.sharded_bytes + k.scores_bytes)
    plain, split = (
        layer_activations(name, sequence_length=2048, tensor_parallel=4, sequence_parallel=sp) for sp in (False, True)
    )
    assert split.replicated_bytes == plain.replicated_bytes / 4
    assert split.sharded_bytes == plain.sharded_bytes


def test_a_single_key_head_is_repeated_on_every_tensor_parallel_rank():
    """Oracle: PaLM's one key/value head of 256 cannot be cut: queries and outputs shrink, keys and values do not."""
    one, eight = (layer_activations("palm-540b", sequence_length=1, tensor_parallel=t).sharded_bytes for t in (1, 8))
    shared = 2 * 2 * 256  # key and value, bf16
    assert eight - shared == pytest.approx((one - shared) / 8)
