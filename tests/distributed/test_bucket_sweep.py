"""What a sweep over bucket sizes reports. Oracle: DDP's own rule, and the bytes of the gradients."""

import pytest

from course_lib.distributed import TrainingSetupError
from course_lib.distributed.bucket_sweep import BucketTiming, bucket_sweep
from course_lib.models import GPT
from tests.distributed.curves import SMALL, small_config

GRADIENT_BYTES = 4 * sum(parameter.numel() for parameter in GPT(SMALL).parameters())


def test_smaller_buckets_are_more_and_hold_the_same_bytes_in_all(launch_ranks):
    small, large = bucket_sweep(small_config(), (0.02, 25.0), repeats=2, launcher=launch_ranks)
    assert len(large.buckets) == 1
    assert len(small.buckets) > 3
    assert sum(small.buckets) == sum(large.buckets) == GRADIENT_BYTES
    for row in (small, large):
        assert min(row.step_seconds, row.compute_seconds, row.exchange_seconds) > 0
        assert 0 <= row.hidden_fraction <= 1


def test_what_is_hidden_is_what_a_step_does_not_feel():
    assert BucketTiming(25.0, (100,), 1.25, 1.0, 0.5).hidden_fraction == 0.5
    assert BucketTiming(25.0, (100,), 1.75, 1.0, 0.5).hidden_fraction == 0
    assert BucketTiming(25.0, (100,), 0.99, 1.0, 0.5).hidden_fraction == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"ranks": 1}, "ranks=1 must be a whole number of at least 2"),
        ({"sizes_mb": ()}, "holds no size"),
        ({"sizes_mb": (1.0, 0.0)}, "sizes_mb=0.0 must be a finite number above 0"),
        ({"repeats": 0}, "repeats=0 must be"),
    ],
)
def test_a_sweep_of_nothing_is_refused(arguments, says):
    with pytest.raises(TrainingSetupError, match=says):
        bucket_sweep(small_config(), **arguments)
