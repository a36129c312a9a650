"""Searching the microbatch. Oracle: memory limits of the operating system, a border that is known, a sum of times."""

import gc
import subprocess
import sys
import textwrap

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.distributed import TrainingSetupError
from course_lib.distributed.batch_size import fastest_microbatch, largest_microbatch
from course_lib.distributed.memory_limit import address_space_limit, is_out_of_memory


@pytest.fixture(autouse=True, scope="module")
def _quick_collections():
    """The search collects garbage before each try; without this it would look through all of pytest each time."""
    gc.freeze()
    yield
    gc.unfreeze()


def limited(border, error=torch.OutOfMemoryError):
    def run(size):
        if size > border:
            raise error("no more")

    return run


@settings(max_examples=12)
@given(border=st.integers(1, 200), maximum=st.integers(1, 200), start=st.integers(1, 200))
def test_the_border_is_found_wherever_it_is_in_a_logarithm_of_tries(border, maximum, start):
    """Oracle: min(border, maximum)."""
    found = largest_microbatch(limited(border), maximum=maximum, start=start)
    assert found.microbatch == min(border, maximum)
    assert found.reason == ("maximum" if border >= maximum else "memory")
    assert all(tried.fits == (tried.microbatch <= border) for tried in found.tries)
    confirmed = found.reason == "memory"
    assert len({tried.microbatch for tried in found.tries}) == len(found.tries) - confirmed
    assert len(found.tries) <= 2 * maximum.bit_length() + 2


REAL = """
    import torch
    from course_lib.distributed.batch_size import largest_microbatch
    from course_lib.distributed.memory_limit import address_space_limit

    torch.set_num_threads(1)
    layer = torch.nn.Linear(64, 64)

    def run(rows):
        layer.zero_grad()
        hidden = torch.ones(rows * 4096, 64)  # 1 MiB a row
        for _ in range(3):
            hidden = layer(hidden).relu()
        hidden.sum().backward()

    run(1)
    with address_space_limit(100 * 2**20):
        found = largest_microbatch(run, maximum=1000)
        run(found.microbatch - 1)
        try:
            run(2 * found.microbatch)
        except RuntimeError as error:
            print("real:", error)
    print(found.microbatch, found.reason)
    torch.ones(500, 2**20)  # the limit is gone
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces RLIMIT_AS")
def test_real_memory_runs_out_and_the_search_finds_the_border():
    """Oracle: the kernel's RLIMIT_AS of 100 MiB: a row takes 5 to 9 MiB with all it keeps, and holes come on top."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(REAL)],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    real, line = done.stdout.splitlines()
    assert "DefaultCPUAllocator: can't allocate memory" in real
    rows, reason = line.split()
    assert 5 <= int(rows) <= 20
    assert reason == "memory"


def test_a_size_that_fits_only_sometimes_is_not_the_answer():
    """Oracle: a border that moves from 20 to 18 once it has been found."""
    seen = []

    def run(size):
        limited(20 if seen.count(20) < 1 else 18)(size)
        seen.append(size)

    found = largest_microbatch(run, maximum=64)
    assert found.microbatch == 18
    assert [t.fits for t in found.tries if t.microbatch == 20] == [True, False]
    assert [t.fits for t in found.tries if t.microbatch == 18] == [True, True]


def test_only_memory_errors_mean_too_large():
    """Oracle: real errors of PyTorch and Python."""
    real = [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError("std::bad_alloc")]
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert all(map(is_out_of_memory, [*real, caught.value]))
    with pytest.raises(RuntimeError) as shapes:
        torch.ones(2) @ torch.ones(3)
    others = [shapes.value, ValueError("out of memory"), KeyboardInterrupt(), RuntimeError("memory format")]
    assert not any(map(is_out_of_memory, others))
    with pytest.raises(ZeroDivisionError):
        largest_microbatch(lambda size: 1 // 0, maximum=4)


def test_what_did_not_fit_is_freed_before_the_next_try():
    """Oracle: weak references to the tensors of each failed try, which its error's frames would keep."""
    import weakref

    tensors = []

    def run(size):
        assert all(tensor() is None for tensor in tensors)
        big = torch.ones(size)
        big.cycle = [big]
        tensors.append(weakref.ref(big))
        if size > 5:
            raise torch.OutOfMemoryError("no more")

    assert largest_microbatch(run, maximum=100).microbatch == 5


@pytest.mark.parametrize("start", [1, 8])
def test_a_model_that_never_fits_is_an_error_with_a_remedy(start):
    """Oracle: the message."""
    for search in (largest_microbatch, fastest_microbatch):
        with pytest.raises(TrainingSetupError, match=r"microbatch=1 does not fit: no more\. Remedy: shard"):
            search(limited(0), maximum=16, start=start)


class Machine:
    """A clock that a step moves on by latency + rows / rate: throughput is size / (latency + size / rate)."""

    def __init__(self, latency, rate):
        self.now, self.latency, self.rate = 0.0, latency, rate

    def run(self, size):
        self.now += self.latency + size / self.rate


@settings(max_examples=20)
@given(latency=st.floats(0.001, 1), rate=st.floats(1, 1000), growth=st.sampled_from([0.02, 0.1, 0.5]))
def test_the_search_stops_where_doubling_brings_too_little(latency, rate, growth):
    """Oracle: the throughput's formula, size by size."""
    machine = Machine(latency, rate)
    found = fastest_microbatch(machine.run, maximum=2**20, growth=growth, clock=lambda: machine.now)

    def throughput(size):
        return size / (latency + size / rate)

    size = 1
    while size < 2**20 and throughput(2 * size) >= throughput(size) * (1 + growth):
        size *= 2
    near = {
        tried.microbatch for tried in found.tries if abs(throughput(tried.microbatch) / throughput(size) - 1) < 1e-6
    }
    assert found.microbatch in near
    assert found.reason == ("throughput" if size < 2**20 else "maximum")
    for tried in found.tries:
        assert tried.sequences_per_second == pytest.approx(throughput(tried.microbatch), rel=1e-6)


def test_memory_ends_the_search_for_speed_too():
    """Oracle: throughput that grows without end up to a border."""
    machine = Machine(1.0, 1e9)

    def run(size):
        limited(40)(size)
        machine.run(size)

    found = fastest_microbatch(run, maximum=1000, clock=lambda: machine.now)
    assert (found.microbatch, found.reason) == (32, "memory")
    assert fastest_microbatch(run, maximum=1000, start=100, clock=lambda: machine.now).microbatch == 50 // 2
    assert found.tries[-1].seconds is None


def agree(border_of_rank, broken_rank=None):
    import torch.distributed as dist

    rank = dist.get_rank()

    def run(size):
        if rank == broken_rank and size == 4:
            raise KeyError("a bug")
        limited(border_of_rank[rank])(size)

    try:
        return largest_microbatch(run, maximum=64)
    except (KeyError, RuntimeError) as error:
        return repr(error)


def timed(latency_of_rank):
    import torch.distributed as dist

    machine = Machine(latency_of_rank[dist.get_rank()], 1e9)
    return [tried.seconds for tried in fastest_microbatch(machine.run, maximum=1, clock=lambda: machine.now).tries]


def test_ranks_agree_and_one_that_fails_otherwise_leaves_no_rank_waiting(launch_ranks):
    """Oracle: min of known borders, max of known times over ranks; a rank's own error there, its name on the others."""
    found = launch_ranks(
        lambda: (agree([30, 11, 20]), agree([30, 30, 30], broken_rank=0), timed([0.25, 0.5, 0.125])), 3
    )
    searches, errors, seconds = zip(*found, strict=True)
    assert [search.microbatch for search in searches] == [11] * 3
    assert searches[0] == searches[1] == searches[2]
    assert seconds == ([pytest.approx(0.5)],) * 3, "every rank waits for the slowest"
    assert errors[0] == "KeyError('a bug')"
    assert all("rank 0 failed at microbatch=4, not for lack of memory: KeyError" in error for error in errors[1:])


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (lambda: largest_microbatch(print, maximum=0), "maximum=0"),
        (lambda: largest_microbatch(print, maximum=4, start=0), "start=0"),
        (lambda: fastest_microbatch(print, maximum=4, growth=0), "growth=0"),
        (lambda: fastest_microbatch(print, maximum=4, runs=0), "runs=0"),
        (lambda: address_space_limit(0).__enter__(), "extra_bytes=0"),
    ],
)
def test_a_bad_setting_is_refused(bad, words):
    """Oracle: the message."""
    with pytest.raises(TrainingSetupError, match=words):
        bad()
