"""Context parallelism's curve equals one process's. Oracle: the same run in a single process."""

import pytest

from course_lib.distributed import TrainingSetupError
from course_lib.distributed.context import check_context
from tests.distributed.curves import assert_equal_curves, run_engine, single_process, small_config
from tests.distributed.test_tensor import GROUPED, ODD


@pytest.mark.parametrize(
    ("model", "ranks", "options"),
    [
        (GROUPED, 4, {}),
        (ODD, 2, {"placement": "contiguous"}),
        (GROUPED, 2, {"attention": "ulysses"}),
    ],
)
def test_the_curve_equals_one_process(launch_ranks, model, ranks, options):
    config = small_config(model=model, clip_norm=0.5, microbatch=4)
    assert_equal_curves(run_engine(launch_ranks, "context", config, ranks, **options), single_process(config))


@pytest.mark.parametrize(
    ("length", "ranks", "attention", "placement", "told"),
    [
        (14, 4, "ring", None, "sequence_length=14 can't be shared equally by 8 pieces.*use 8 or 16"),
        (14, 4, "ring", "contiguous", "sequence_length=14 can't be shared equally by 4 pieces.*use 12 or 16"),
        (16, 4, "ulysses", None, "kv_heads=2 can't be shared equally by 4 context ranks"),
        (16, 2, "flash", None, "attention='flash' is not known"),
        (16, 2, "ring", "spiral", "placement='spiral' is not known"),
        (16, 2, "ulysses", "zigzag", "placement='zigzag' has no use"),
    ],
)
def test_what_can_not_be_shared_is_refused(length, ranks, attention, placement, told):
    with pytest.raises(TrainingSetupError, match=told):
        check_context(GROUPED, length, ranks, attention, placement)
