"""Several parallelisms at once: the curve equals one process's. Oracle: the same run in a single process."""

import dataclasses

import pytest

from course_lib.distributed import LaunchError, Layout, TrainingSetupError
from course_lib.distributed.composed import check_zero_bubble
from course_lib.models import tiny_config
from tests.distributed.curves import assert_equal_curves, run_engine, single_process, small_config

MODEL = tiny_config(layers=4, hidden_size=32, heads=4, kv_heads=2, vocab_size=32)


def check(launch_ranks, layout, changes=None, rtol=1e-5, weights_atol=1e-4, steps=4, **options):
    config = small_config(**({"model": MODEL, "clip_norm": 0.5, "microbatch": 1} | (changes or {})))
    ours = run_engine(launch_ranks, "composed", config, layout.ranks, layout=layout, steps=steps, **options)
    assert_equal_curves(ours, single_process(config, steps), rtol=rtol, weights_atol=weights_atol)


@pytest.mark.parametrize(
    "layout",
    [
        Layout(),
        pytest.param(Layout(data=2, tensor=2), marks=pytest.mark.slow),
        pytest.param(Layout(shard=2, tensor=2), marks=pytest.mark.slow),
        Layout(data=2, pipeline=2),
        Layout(data=2, context=2),
        pytest.param(Layout(shard=2, context=2), marks=pytest.mark.slow),
        Layout(pipeline=2, tensor=2),
    ],
    ids=str,
)
def test_the_curve_equals_one_process(launch_ranks, layout):
    check(launch_ranks, layout)


@pytest.mark.slow
@pytest.mark.parametrize(
    "layout",
    [
        Layout(shard=2, pipeline=2),
        Layout(context=2, pipeline=2),
        Layout(context=2, tensor=2),
        Layout(data=2, shard=2),
        Layout(data=2, pipeline=2, tensor=2),
        Layout(shard=2, pipeline=2, tensor=2),
        Layout(context=2, pipeline=2, tensor=2),
    ],
    ids=str,
)
def test_the_curve_equals_one_process_in_other_layouts_and_on_eight_ranks(launch_ranks, layout):
    check(launch_ranks, layout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layout", "changes", "options"),
    [
        (Layout(shard=2, pipeline=2), {}, {"pipeline_schedule": "zb1p"}),
        (Layout(pipeline=2, tensor=2), {}, {"pipeline_schedule": "zbv"}),
        (Layout(data=2, pipeline=2), {}, {"pipeline_schedule": "interleaved", "virtual_stages": 2}),
        (Layout(shard=2, tensor=2), {"model": dataclasses.replace(MODEL, tied_embeddings=True)}, {}),
        (Layout(data=2, tensor=2), {}, {"sequence_parallel": False, "split_loss": False}),
        (Layout(tensor=2, context=2), {"recomputation": "selective"}, {}),
        (Layout(pipeline=2, tensor=2), {"recomputation": "full"}, {}),
        (Layout(data=2, context=2), {}, {"attention": "ulysses"}),
    ],
    ids=str,
)
def test_options_of_the_parts_change_nothing(launch_ranks, layout, changes, options):
    check(launch_ranks, layout, changes, **options)


@pytest.mark.slow
@pytest.mark.parametrize("layout", [Layout(shard=2, context=2), Layout(pipeline=2, tensor=2)], ids=str)
def test_bf16_stays_close(launch_ranks, layout):
    """Oracle: one process in bf16, whose sums are rounded in another order."""
    check(launch_ranks, layout, {"precision": "bf16"}, rtol=2e-2, weights_atol=2e-2)


@pytest.mark.parametrize(
    ("layout", "ranks", "options", "told"),
    [
        (Layout(data=2, tensor=2), 2, {}, "data=2 * shard=1 * context=1 * tensor=2 = 4 ranks where there are 2"),
        (Layout(context=2, tensor=2), 4, {"attention": "ulysses"}, "kv_heads=1 can't be shared equally by 2"),
        (Layout(pipeline=2, tensor=2), 4, {"pipeline_schedule": "zb1p", "split_loss": True}, "split_loss=True fails"),
    ],
)
def test_what_can_not_run_is_refused_once_for_all_ranks(launch_ranks, layout, ranks, options, told):
    config = small_config(model=MODEL, microbatch=1)
    with pytest.raises(LaunchError) as caught:
        run_engine(launch_ranks, "composed", config, ranks, layout=layout, **options)
    assert str(caught.value).count(told) == 1
    assert "Remedy" in str(caught.value)


@pytest.mark.parametrize("schedule", ["zb1p", "zbv"])
def test_what_a_split_backward_pass_would_get_wrong_is_refused(schedule):
    """Oracle: seen with PyTorch 2.13: an error inside of it, and losses that are not one process's."""
    with pytest.raises(TrainingSetupError, match="split_loss=True fails under"):
        check_zero_bubble(schedule, Layout(pipeline=2, tensor=2), split_loss=True, reshard_after_forward=False)
    with pytest.raises(TrainingSetupError, match="reshard_after_forward=True gives wrong gradients under"):
        check_zero_bubble(schedule, Layout(pipeline=2, shard=2), split_loss=False, reshard_after_forward=True)
