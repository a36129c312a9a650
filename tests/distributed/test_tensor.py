"""Tensor parallelism's curve equals one process's. Oracle: the same run in a single process."""

import dataclasses

import pytest

from course_lib.distributed import TrainingSetupError
from course_lib.distributed.tensor import check_tensor
from course_lib.models import tiny_config
from tests.distributed.curves import SMALL, assert_equal_curves, run_engine, single_process, small_config

GROUPED = tiny_config(layers=2, hidden_size=32, heads=4, kv_heads=2, vocab_size=32)
# everything else that a plan must know: biases, a norm per head, learned positions that don't divide, tied embeddings
ODD = dataclasses.replace(
    GROUPED, learned_positions=17, qk_norm="head", norm="layernorm", qkv_bias=True, output_bias=True, ffn_bias=True,
    gated_ffn=False, tied_embeddings=True,
)  # fmt: skip


@pytest.mark.parametrize(
    ("model", "ranks", "options"),
    [
        (SMALL, 4, {}),
        (GROUPED, 2, {"split_loss": False}),
        (ODD, 2, {}),
        (ODD, 2, {"sequence_parallel": False, "split_loss": False}),
    ],
)
def test_the_curve_equals_one_process(launch_ranks, model, ranks, options):
    config = small_config(model=model, clip_norm=0.5, microbatch=4)
    assert_equal_curves(run_engine(launch_ranks, "tensor", config, ranks, **options), single_process(config))


@pytest.mark.parametrize(
    ("changes", "ranks", "length", "told"),
    [
        ({}, 3, None, "heads=4 of tiny can't be shared equally by 3 tensor-parallel ranks.*divides them: 1, 2, 4"),
        ({"kv_heads": 2}, 4, None, "kv_heads=2 of tiny can't be shared equally by 4.*divides them: 1, 2"),
        ({}, 2, 15, "sequence_length=15 can't be shared equally by 2.*use 14 or 16"),
        ({"vocab_size": 33}, 2, None, "vocab_size=33 can't be shared equally by 2.*use 32 or 34"),
        ({"ffn_hidden_size": 97}, 2, None, "ffn_hidden_size=97 can't be shared equally by 2.*use 96 or 98"),
    ],
)
def test_a_shape_that_does_not_divide_is_refused(changes, ranks, length, told):
    with pytest.raises(TrainingSetupError, match=told):
        check_tensor(dataclasses.replace(SMALL, **changes), ranks, length)


def test_each_rank_holds_its_part_of_the_matrices(launch_ranks):
    """Oracle: all matrices divided by the ranks, norms whole; counted by hand."""

    def held():
        from course_lib.distributed import build_engine, parameter_bytes

        return parameter_bytes(build_engine("tensor", small_config()).model)

    whole = sum(v.numel() for n, v in single_process(small_config()).weights.items())
    norms = (2 * SMALL.layers + 1) * SMALL.hidden_size
    assert set(launch_ranks(held, 4)) == {4 * ((whole - norms) // 4 + norms)}
