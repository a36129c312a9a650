"""Pipeline parallelism's curve equals one process's. Oracle: the same run in a single process."""

import dataclasses

import pytest

from course_lib.distributed import LaunchError, TrainingSetupError, split_layers
from course_lib.distributed.stages import check_stages
from course_lib.models import tiny_config
from tests.distributed.curves import assert_equal_curves, run_engine, single_process, small_config
from tests.distributed.test_tensor import ODD

FIVE = tiny_config(layers=5, hidden_size=32, heads=4, kv_heads=2, vocab_size=32)
UNTIED = dataclasses.replace(ODD, tied_embeddings=False, layers=2)


@pytest.mark.parametrize(
    ("model", "ranks", "options"),
    [
        (UNTIED, 2, {"pipeline_schedule": "gpipe"}),
        (FIVE, 4, {}),
        (FIVE, 2, {"pipeline_schedule": "interleaved", "virtual_stages": 2}),
        (FIVE, 2, {"pipeline_schedule": "zb1p", "layers_per_stage": (4, 1)}),
        (FIVE, 2, {"pipeline_schedule": "zbv"}),
    ],
)
def test_the_curve_equals_one_process(launch_ranks, model, ranks, options):
    config = small_config(model=model, clip_norm=0.5, microbatch=1)
    assert_equal_curves(run_engine(launch_ranks, "pipeline", config, ranks, **options), single_process(config))


@pytest.mark.slow
def test_bf16_matmuls_stay_close(launch_ranks):
    """Oracle: one process in bf16, whose sums are rounded in another order."""
    config = small_config(model=FIVE, microbatch=2, precision="bf16")
    ours = run_engine(launch_ranks, "pipeline", config, 2)
    assert_equal_curves(ours, single_process(config), rtol=1e-2, weights_atol=2e-2)


@pytest.mark.parametrize(
    ("layers", "stages", "takes"),
    [
        (4, 2, [2, 2]),
        (5, 2, [3, 2]),
        (5, 3, [2, 2, 1]),
        (7, 3, [2, 3, 2]),
        (8, 3, [3, 3, 2]),
        (3, 3, [1, 1, 1]),
        (3, 1, [3]),
    ],
)
def test_layers_left_over_go_to_the_middle_first_and_to_the_last_stage_last(layers, stages, takes):
    """Oracle: by hand."""
    found = split_layers(layers, stages)
    assert [len(stage) for stage in found] == takes
    assert [layer for stage in found for layer in stage] == list(range(layers))


@pytest.mark.parametrize("takes", [(3, 1), (0, 5), (2, 2, 1)])
def test_a_split_that_is_none_is_refused(takes):
    with pytest.raises(TrainingSetupError, match="must be 2 numbers of at least 1 with the sum 5"):
        split_layers(5, 2, takes)


@pytest.mark.parametrize(
    ("ranks", "options", "told"),
    [
        (3, {}, "layers=2 is fewer than the 3 pipeline stages"),
        (2, {"pipeline_schedule": "zb1p"}, "compile=True can't be used under 'zb1p'"),
    ],
)
def test_what_can_not_be_cut_is_refused_once_for_all_ranks(launch_ranks, ranks, options, told):
    config = small_config(microbatch=1, global_batch=6, compile=bool(options))
    with pytest.raises(LaunchError) as caught:
        run_engine(launch_ranks, "pipeline", config, ranks, **options)
    assert str(caught.value).count(told) == 1
    assert "Remedy" in str(caught.value)


def test_tied_embeddings_are_refused():
    with pytest.raises(TrainingSetupError, match="tied_embeddings=True of tiny can't be cut into stages"):
        check_stages(dataclasses.replace(FIVE, tied_embeddings=True))
