"""What the timing of collectives reports. Oracle: nccl-tests' definitions, and a sleep of known length."""

import time

import pytest

from course_lib.arithmetic import ArithmeticInputError
from course_lib.arithmetic.network import fit_alpha_beta
from course_lib.distributed import LaunchError, TrainingSetupError
from course_lib.distributed.collectives import measure, measure_on_ranks

OPS = ["all_reduce", "all_gather", "reduce_scatter", "broadcast", "all_to_all"]
FACTOR = {"all_reduce": 4 / 3, "all_gather": 2 / 3, "reduce_scatter": 2 / 3, "broadcast": 1.0, "all_to_all": 2 / 3}
FIRST = {"broadcast": "binomial", "all_to_all": "pairwise"} | dict.fromkeys(OPS[:3], "ring")


@pytest.mark.parametrize("op", OPS)
def test_bandwidths_are_those_of_nccl_tests(launch_ranks, op):
    def rows():
        return measure(op, [10, 6000], samples=2) + measure(op, [10, 6000], FIRST[op], samples=2)

    results = launch_ranks(rows, 3)
    assert results[0] == results[1] == results[2]
    assert [row.algorithm for row in results[0]] == ["gloo", "gloo", FIRST[op], FIRST[op]]
    assert [row.bytes_ for row in results[0]] == [12, 6000, 12, 6000], "sizes are rounded up to whole floats per rank"
    for row in results[0]:
        assert row.algorithm_bytes_per_s == pytest.approx(row.bytes_ / row.seconds)
        assert row.bus_bytes_per_s == pytest.approx(row.algorithm_bytes_per_s * FACTOR[op])


def test_the_slowest_rank_counts(launch_ranks):
    def rows():
        import torch.distributed as dist

        def nap(tensor):
            time.sleep(0.02 if dist.get_rank() == 1 else 0)

        return measure("all_reduce", [4 * 2**20], nap, samples=3)

    (row,) = launch_ranks(rows, 2)[0]
    assert row.algorithm == "nap"
    assert row.seconds >= 0.02


def test_measured_rows_can_be_fitted(launch_ranks):
    rows = measure_on_ranks("all_reduce", [2**10, 2**14, 2**18, 2**20], 2, ["ring"], samples=3, launcher=launch_ranks)
    fit = fit_alpha_beta([row.bytes_ for row in rows], [row.seconds for row in rows], "all_reduce", "ring", 2)
    assert fit.alpha_seconds > 0
    assert fit.predict(2**16).low <= fit.predict(2**16).seconds <= fit.predict(2**16).high


def test_what_cannot_be_measured_is_refused(launch_ranks):
    with pytest.raises(ArithmeticInputError, match="op='gossip'"):
        measure("gossip", [8])
    with pytest.raises(TrainingSetupError, match="sizes_bytes=0 must be"):
        measure("all_reduce", [0])
    with pytest.raises(TrainingSetupError, match="ranks=1 must be"):
        measure_on_ranks("all_reduce", [8], 1)
    with pytest.raises(LaunchError, match="algorithm of all_reduce"):
        measure_on_ranks("all_reduce", [8], 2, ["gossip"], launcher=launch_ranks)
