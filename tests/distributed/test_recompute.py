"""Recomputation changes memory, not results. Oracles: the model without it; Korthikanti et al.'s count of bytes."""

import gc
import weakref

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from course_lib.arithmetic import layer_activations
from course_lib.distributed import (
    TrainingSetupError,
    apply_recomputation,
    build_engine,
    markov_batches,
    saved_activation_bytes,
    train,
)
from course_lib.models import GPT, tiny_config
from tests.distributed.curves import SMALL, assert_equal_curves, run_engine, single_process, small_config

FP32_OVER_BF16 = 2  # the formulas count bf16 activations
BATCH, SEQUENCE = 2, 128


def saved_by_a_layer(mode, backend):
    """Bytes that one more layer costs: what is kept outside of the layers falls out of the difference."""

    def saved(layers):
        model = GPT(tiny_config(layers=layers, hidden_size=64, heads=4, context_length=SEQUENCE))
        apply_recomputation(model, mode)
        tokens = torch.zeros(BATCH, SEQUENCE, dtype=torch.int64)  # (batch, seq)
        with sdpa_kernel(backend):
            return saved_activation_bytes(model, lambda: model(tokens))

    return saved(3) - saved(2)


def predicted(mode, flash=False):
    config = tiny_config(layers=1, hidden_size=64, heads=4, context_length=SEQUENCE)
    return layer_activations(
        config, microbatch=BATCH, sequence_length=SEQUENCE, recomputation=mode, flash_attention=flash
    )


def test_full_recomputation_keeps_exactly_the_input_of_each_block():
    """Oracle: Korthikanti et al. 2022, section 5: 2 s b h bytes per layer in bf16, twice that in fp32."""
    kept = saved_by_a_layer("full", SDPBackend.MATH)
    assert kept == FP32_OVER_BF16 * predicted("full").total_bytes == 4 * SEQUENCE * BATCH * 64


def test_selective_recomputation_saves_exactly_the_scores():
    """Oracle: Korthikanti et al. 2022, eq. 1: without dropout, 2 a s^2 b bytes of scores per layer in bf16."""
    saved = saved_by_a_layer("none", SDPBackend.MATH) - saved_by_a_layer("selective", SDPBackend.MATH)
    assert saved == FP32_OVER_BF16 * predicted("none").scores_bytes == 4 * 4 * SEQUENCE**2 * BATCH


@pytest.mark.parametrize("mode", ["none", "selective"])
def test_what_a_layer_keeps_is_what_the_formula_counts_plus_norms_and_rotary(mode):
    """Oracle: layer_activations. Ours also keeps what RMSNorm and the rotary halves need, which the paper has not."""
    ratio = saved_by_a_layer(mode, SDPBackend.MATH) / (FP32_OVER_BF16 * predicted(mode).total_bytes)
    assert 1.0 <= ratio < 1.15


def test_a_fused_attention_keeps_no_scores_so_that_selective_saves_next_to_nothing():
    """Oracle: Dao et al. 2022: one statistic per query and head in place of s scores."""
    none, selective = (saved_by_a_layer(mode, SDPBackend.FLASH_ATTENTION) for mode in ("none", "selective"))
    assert 0 < none - selective < 0.01 * none
    assert none < 1.15 * FP32_OVER_BF16 * predicted("none", flash=True).total_bytes


@pytest.mark.parametrize("mode", ["selective", "full"])
def test_gradients_are_those_of_the_model_without_recomputation(mode):
    plain, recomputed = (build_engine("single", small_config(recomputation=m, microbatch=2)) for m in ("none", mode))
    for engine in (plain, recomputed):
        engine.forward_backward(markov_batches(engine.config)[0])
    assert plain.full_state().keys() == recomputed.full_state().keys()
    for ours, theirs in zip(recomputed.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)


@pytest.mark.parametrize("engine", ["single", "ddp", "fsdp"])
def test_each_engine_runs_each_block_a_second_time(launch_ranks, engine):
    """Oracle: the definition: with full recomputation a block's insides run twice, without it once."""

    def calls():
        seen = {"none": 0, "full": 0}

        def count(mode):
            seen[mode] += 1

        for mode in seen:
            config = small_config(recomputation=mode)
            built = build_engine(engine, config)
            for module in built.model.modules():
                if type(module).__name__ == "FeedForward":
                    module.register_forward_pre_hook(lambda *_, mode=mode: count(mode))
            built.step(markov_batches(config)[0])
        return seen

    ranks = 1 if engine == "single" else 2
    assert launch_ranks(calls, ranks) == [{"none": SMALL.layers, "full": 2 * SMALL.layers}] * ranks


def test_an_unknown_mode_is_refused_with_those_that_exist():
    with pytest.raises(TrainingSetupError, match=r"recomputation='all' is not known. Remedy: use one of none, sel"):
        apply_recomputation(GPT(SMALL), "all")


def test_a_copied_model_recomputes_its_own_weights():
    """Oracle: the copy's gradient is where autograd puts it, in the copy; a wrapper around the first would miss it."""
    import copy

    model = GPT(SMALL)
    apply_recomputation(model, "full")
    copied = copy.deepcopy(model)
    copied(torch.zeros(1, 4, dtype=torch.int64)).sum().backward()
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad is not None for p in copied.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["none", "selective", "full"])
def test_compiled_blocks_follow_the_eager_curve(mode):
    config = small_config(recomputation=mode, compile=True)
    engine = build_engine("single", config)
    history = train(engine, markov_batches(config), 6)
    reference = single_process(small_config())
    torch.testing.assert_close(torch.tensor(history.losses), torch.tensor(reference.losses), rtol=1e-5, atol=0)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0, "nothing was compiled"


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["ddp", "fsdp"])
def test_compiled_blocks_run_in_every_engine(launch_ranks, engine):
    ours = run_engine(launch_ranks, engine, small_config(compile=True, recomputation="full"), 2)
    assert_equal_curves(ours, single_process(small_config()))


def test_a_tensor_parallel_rank_keeps_its_part_and_sequence_parallelism_divides_the_rest(launch_ranks):
    """Oracle: the shapes, counted by hand, of what ranks that share a layer's matrices keep, with and without."""

    def saved_by_rank(layers):
        from course_lib.distributed.mesh import Layout, build_mesh
        from course_lib.distributed.tensor import parallelize_tensor

        kept = {}
        tokens = torch.zeros(BATCH, SEQUENCE, dtype=torch.int64)  # (batch, seq)
        for sequence_parallel in (False, True):
            model = GPT(tiny_config(layers=layers, hidden_size=64, heads=4, context_length=SEQUENCE))
            mesh = build_mesh(Layout(tensor=2))["tensor"]
            parallelize_tensor(model, mesh, sequence_parallel=sequence_parallel)
            kept[sequence_parallel] = saved_activation_bytes(model, lambda model=model: model(tokens))
        return kept

    def both():
        three, two = saved_by_rank(3), saved_by_rank(2)
        return {key: three[key] - two[key] for key in three}

    first, second = launch_ranks(both, 2)
    assert first == second
    plain, shared = first[False], first[True]
    stream = 4 * BATCH * SEQUENCE * 64  # one activation of the residual path, whole, in fp32
    scale = 4 * BATCH * SEQUENCE  # a norm's factor for each token
    # halved: the input of either norm and its normalized form; two factors. The norms' outputs stay whole, gathered.
    assert plain - shared == (4 * stream + 2 * scale) / 2


def test_counting_activations_lets_go_of_them():
    """Oracle: a weak reference, dead once nothing holds the tensor; softmax and tanh keep their own outputs."""
    seen = []
    x = torch.randn(3, 4, requires_grad=True)

    def call():
        kept = x.tanh()
        seen.append(weakref.ref(kept))
        return kept.softmax(-1)

    assert saved_activation_bytes(torch.nn.Identity(), call) == 2 * x.nbytes
    gc.collect()
    assert seen[0]() is None
