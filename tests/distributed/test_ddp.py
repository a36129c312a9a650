"""DDP's curve equals one process's. Oracle: the same run in a single process, no torch.distributed in it."""

import pytest

from course_lib.distributed import LaunchError
from tests.distributed.curves import assert_equal_curves, run_engine, single_process, small_config


@pytest.mark.parametrize("world_size", [1, 2, 4])
@pytest.mark.parametrize("microbatch", [0, 1])
def test_the_curve_equals_one_process(launch_ranks, world_size, microbatch):
    config = small_config(microbatch=microbatch)
    assert_equal_curves(run_engine(launch_ranks, "ddp", config, world_size), single_process(small_config()))


def test_clipping_and_small_buckets_change_nothing(launch_ranks):
    config = small_config(clip_norm=0.5)
    ours = run_engine(launch_ranks, "ddp", config, 2, bucket_mb=0.01)
    assert_equal_curves(ours, single_process(config))


def test_a_batch_that_does_not_divide_is_refused_once_for_all_ranks(launch_ranks):
    with pytest.raises(LaunchError) as caught:
        run_engine(launch_ranks, "ddp", small_config(), 3)
    assert str(caught.value).count("global_batch=8 can't be shared equally by 3 data-parallel ranks") == 1
    assert "Remedy: use 6 or 9" in str(caught.value)
    assert "All 3 ranks failed alike" in str(caught.value)
