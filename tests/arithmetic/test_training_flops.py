"""training_flops. Oracle: torch's FlopCounterMode counting what a transformers model really runs on a CPU."""

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.arithmetic import count_parameters, training_flops, weight_matmuls
from course_lib.catalog import gpt_config

BATCH, SEQUENCE = 2, 12
FAMILIES = [
    "llama3-tiny", "llama2-wide-heads", "gpt-tiny", "mixtral-tiny", "olmoe-tiny", "qwen3-tiny", "deepseek-tiny",
    "deepseek-whole-queries",
    "gptoss-tiny",
]  # fmt: skip


def counted_flops(model, *, backward: bool = True) -> int:
    """FLOPs of one step as torch counts them, the tables of rotary angles aside (they depend on no weight)."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    tokens = torch.randint(0, 90, (BATCH, SEQUENCE))
    with FlopCounterMode(display=False) as counter:
        logits = model(tokens, use_cache=False).logits
        if backward:
            logits.sum().backward()
    rotary = sum(
        sum(ops.values()) for module, ops in counter.get_flop_counts().items() if module.endswith("rotary_emb")
    )
    return counter.get_total_flops() - rotary


def real_model(hugging_face, shape):
    to_config, to_model = hugging_face
    model = to_model(to_config(shape), device="cpu").train()
    if shape.experts:
        model.set_experts_implementation("eager")
    return model


@pytest.mark.parametrize("name", FAMILIES)
def test_exact_flops_are_those_that_torch_counts(name, tiny_shapes, hugging_face):
    """Oracle: FlopCounterMode on forward and backward of the transformers model."""
    shape = tiny_shapes[name]
    ours = training_flops(shape, BATCH * SEQUENCE, sequence_length=SEQUENCE, method="exact")
    assert ours.model_flops == counted_flops(real_model(hugging_face, shape))


@pytest.mark.parametrize("name", ["llama3-tiny", "gpt-tiny", "mixtral-tiny"])
def test_full_recomputation_repeats_the_layers_and_not_the_logits(name, tiny_shapes, hugging_face):
    """Oracle: FlopCounterMode with transformers' gradient checkpointing on."""
    shape = tiny_shapes[name]
    model = real_model(hugging_face, shape)
    # the reentrant kind runs the whole layer again; the other stops before the last matmul, whose output nobody needs
    model.activation_checkpointing_enable({"use_reentrant": True})
    ours = training_flops(shape, BATCH * SEQUENCE, sequence_length=SEQUENCE, method="exact", recomputation="full")
    assert ours.hardware_flops == counted_flops(model)
    assert ours.hardware_flops == ours.model_flops + ours.recomputation_flops


def test_selective_recomputation_repeats_one_forward_pass_of_the_attention_core(tiny_shapes, hugging_face):
    """Oracle: FlopCounterMode with torch.utils.checkpoint around Hugging Face's attention function.

    It says s/18h of extra work per layer, where Korthikanti's printed formula has s/6h.
    """
    from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop
    from transformers import AttentionInterface
    from transformers.models.llama.modeling_llama import eager_attention_forward

    def recomputed(module, query, key, value, mask, **options):
        core = functools.partial(eager_attention_forward, **options)
        return checkpoint(core, module, query, key, value, mask, use_reentrant=False)

    shape = tiny_shapes["llama3-tiny"]
    model = real_model(hugging_face, shape)
    AttentionInterface.register("recomputed", recomputed)
    model.set_attn_implementation("recomputed")
    ours = training_flops(shape, BATCH * SEQUENCE, sequence_length=SEQUENCE, method="exact", recomputation="selective")
    with set_checkpoint_early_stop(False):
        assert ours.hardware_flops == counted_flops(model)
    assert ours.recomputation_flops == ours.attention_flops / 3


def test_korthikantis_printed_formula_counts_the_recomputed_attention_three_times():
    """Oracle: the exact count above; 72 L s h^2 (s/3h - s/6h) is three of its forward passes."""
    shape = gpt_config(hidden_size=12_288, layers=96, heads=96)
    printed = training_flops(shape, 2048, method="korthikanti", recomputation="selective")
    exact = training_flops(shape, 2048, method="exact", recomputation="selective")
    assert printed.model_flops == pytest.approx(exact.model_flops, rel=1e-12)
    assert printed.recomputation_flops == pytest.approx(3 * exact.recomputation_flops, rel=1e-12)


@pytest.mark.parametrize("recomputation", ["none", "full"])
def test_exact_equals_megatrons_closed_form_for_gpt_shapes(recomputation):
    """Oracle: SC21's 96 B s l h^2 (1 + s/6h + V/16lh) and Korthikanti's 72 B L s h^2 (1 + s/6h + v/12hL)."""
    s, h, layers, v = 2048, 20_480, 105, 51_200
    closed = {
        "none": 72 * layers * s * h**2 * (1 + s / (6 * h) + v / (12 * h * layers)),
        "full": 96 * layers * s * h**2 * (1 + s / (6 * h) + v / (16 * layers * h)),
    }[recomputation]
    for method in ("exact", "korthikanti"):
        flops = training_flops("mt-nlg-530b", s, method=method, recomputation=recomputation)
        assert flops.hardware_flops == pytest.approx(closed, rel=1e-12)


def test_six_nd_takes_active_parameters_of_a_mixture():
    """Oracle: Mixtral's 12.88B active of 46.70B, times 6."""
    assert training_flops("mixtral-8x7b", 1).model_flops == 6 * 12_879_925_248


def test_a_bare_parameter_count_costs_six_per_token_and_two_more_when_recomputed():
    """Oracle: 6 N D = 2100 and 8 N D = 2800 at N = 7, D = 50."""
    plain, again = training_flops(7, 50), training_flops(7, 50, recomputation="full")
    assert (plain.model_flops, plain.hardware_flops, plain.weight_flops, plain.attention_flops) == (2100, 2100, 2100, 0)
    assert (again.model_flops, again.hardware_flops, again.recomputation_flops) == (2100, 2800, 700)


@pytest.mark.parametrize("method", ["6nd", "exact", "korthikanti"])
def test_without_recomputation_the_hardware_does_what_the_model_needs(method):
    """Oracle: equality, to the last FLOP."""
    flops = training_flops("gpt2", 1, method=method)
    assert flops.hardware_flops == flops.model_flops
    assert flops.recomputation_flops == 0


def test_six_nd_with_a_sequence_length_adds_palms_attention_term():
    """Oracle: PaLM appendix B, 12 L H Q T per token."""
    with_attention = training_flops("palm-540b", 1, sequence_length=2048)
    assert with_attention.attention_flops == 12 * 118 * 48 * 256 * 2048
    assert with_attention.weight_flops == training_flops("palm-540b", 1).model_flops


def test_six_nd_exceeds_the_exact_weights_only_by_what_multiplies_nothing():
    """Oracle: 6 FLOPs for each look-up table's, norm's and bias's parameter, which 6ND charges and nobody computes."""
    shape = "llama3-8b"
    count = count_parameters(shape)
    rule = training_flops(shape, 1).model_flops
    exact = training_flops(shape, 1, method="exact")
    assert rule - exact.weight_flops == 6 * (count.embedding + count.norm)


def test_a_causal_kernel_computes_half_of_the_scores_plus_the_diagonal():
    """Oracle: s(s+1)/2 of s^2 scores."""
    s = 8192
    full = training_flops("llama3-8b", 1, sequence_length=s, method="exact")
    causal = training_flops("llama3-8b", 1, sequence_length=s, method="exact", attention="causal")
    assert causal.attention_flops / full.attention_flops == pytest.approx((s + 1) / (2 * s))
    assert causal.weight_flops == full.weight_flops


def test_a_sliding_window_bounds_what_a_causal_kernel_computes():
    """Oracle: adding min(i, 128) up position by position, for half of gpt-oss's layers."""
    s = 1000
    keys = sum(min(i, 128) for i in range(1, s + 1)) + sum(range(1, s + 1))
    causal = training_flops("gpt-oss-20b", 1, sequence_length=s, method="exact", attention="causal")
    assert causal.attention_flops == pytest.approx(3 * 12 * keys / s * 2 * 64 * (64 + 64))


@given(
    tokens=st.integers(1, 10**13), more=st.integers(1, 10**13), sequence=st.integers(1, 10**6),
    method=st.sampled_from(["6nd", "exact"]), recomputation=st.sampled_from(["none", "selective", "full"]),
)  # fmt: skip
def test_flops_grow_with_tokens_and_their_parts_add_up(tokens, more, sequence, method, recomputation):
    """Oracle: addition and proportionality."""
    options = {"sequence_length": sequence, "method": method, "recomputation": recomputation}
    small = training_flops("llama3-8b", tokens, **options)
    large = training_flops("llama3-8b", tokens + more, **options)
    assert small.model_flops < large.model_flops
    assert small.weight_flops + small.attention_flops == pytest.approx(small.model_flops)
    assert small.model_flops + small.recomputation_flops == pytest.approx(small.hardware_flops)
    assert small.per_token_flops == pytest.approx(large.per_token_flops)


@given(sequence=st.integers(1, 10**6))
def test_recomputing_more_never_costs_less(sequence):
    """Oracle: none <= selective <= full, since each repeats a superset of the other."""
    none, selective, full = (
        training_flops("llama3-8b", 1, sequence_length=sequence, method="exact", recomputation=r).hardware_flops
        for r in ("none", "selective", "full")
    )
    assert none < selective < full <= none * 4 / 3


def test_weight_matrices_and_the_rest_are_all_parameters():
    """Oracle: count_parameters; a matrix is counted once, tables and norms are not matrices."""
    for name in ("llama3-8b", "deepseek-v3", "mixtral-8x22b", "qwen3-235b-a22b", "palm-540b"):
        count = count_parameters(name)
        matrices = sum(m.weights for m in weight_matmuls(name))
        tables = count.embedding if count.output_head else 0
        assert matrices + tables + count.norm == count.total
