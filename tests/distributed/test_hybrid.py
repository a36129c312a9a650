"""Hybrid sharding equals one process. Oracle: the same run in a single process, no torch.distributed in it."""

import pytest

from course_lib.distributed import LaunchError, TrainingSetupError, build_engine, markov_batches, parameter_bytes
from course_lib.distributed.hybrid import mesh_shape
from tests.distributed.collective_counts import collectives
from tests.distributed.curves import SMALL, assert_equal_curves, run_engine, single_process, small_config


@pytest.mark.parametrize(("world_size", "shard_ranks"), [(1, 1), (2, 1), (2, 2), (4, 2)])
def test_the_curve_equals_one_process(launch_ranks, world_size, shard_ranks):
    config = small_config(microbatch=1, clip_norm=0.5)
    ours = run_engine(launch_ranks, "hybrid", config, world_size, shard_ranks=shard_ranks)
    assert_equal_curves(ours, single_process(config))


def test_a_rank_holds_a_part_as_large_as_its_group_makes_it(launch_ranks):
    """Oracle: the bytes of the same model in one process, divided by the ranks of a group."""

    def held(shard_ranks):
        return parameter_bytes(build_engine("hybrid", small_config(), shard_ranks=shard_ranks).model)

    total = parameter_bytes(build_engine("single", small_config()).model)
    for shard_ranks in (1, 2, 4):
        assert launch_ranks(held, 4, shard_ranks) == [total // shard_ranks] * 4


def test_only_gradients_cross_from_replica_to_replica(launch_ranks):
    """Oracle: torch's profiler, which counts collectives."""

    def counted():
        engine = build_engine("hybrid", small_config(microbatch=1), shard_ranks=2)
        rows = engine.share.of(markov_batches(engine.config)[0])
        return collectives(lambda: engine.forward_backward(rows))

    groups = SMALL.layers + 1
    for counts in launch_ranks(counted, 4):
        assert counts["c10d::_reduce_scatter_base_"] == groups
        assert counts["c10d::allreduce_"] == groups


def test_a_mesh_that_the_world_size_does_not_divide_is_refused_once(launch_ranks):
    with pytest.raises(LaunchError) as caught:
        run_engine(launch_ranks, "hybrid", small_config(global_batch=9), 3)
    told = str(caught.value)
    assert told.count("shard_ranks=2 does not divide the 3 ranks of this run. Remedy: use one of 1, 3.") == 1
    assert "Traceback" not in told


@pytest.mark.parametrize("shard_ranks", [0, -2, 1.5, True])
def test_shard_ranks_that_are_no_count_are_refused(shard_ranks):
    with pytest.raises(TrainingSetupError, match=r"shard_ranks=.* must be a whole number of at least 1"):
        mesh_shape(shard_ranks)
