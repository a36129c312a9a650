"""Times collectives on the machine at hand, our algorithms and the library's own, over a range of sizes.

The rows feed `course_lib.arithmetic.network.fit_alpha_beta`. Method after NVIDIA's nccl-tests: warm-up, several calls
in a row between two looks at the clock, the slowest rank counts; and of several such samples the median.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from course_lib.arithmetic import Collective, bus_bandwidth_factor
from course_lib.arithmetic.network import Schedule, algorithms
from course_lib.distributed.collectives import operations
from course_lib.distributed.errors import check_count
from course_lib.runtime import Hardware, hardware, launch
from course_lib.runtime.hardware import BACKENDS

LIBRARY = "library"
WARM_UP_CALLS = 2  # the first opens connections
MOST_CALLS = 20
CALLS_BYTES = 2**21  # so many bytes in a row, or one call


@dataclass(frozen=True)
class Timing:
    """One measured size.

    Args:
        op: the collective.
        algorithm: its name; "gloo" (or another backend) for the library's own.
        ranks: how many took part.
        bytes_: size of the whole buffer, as `arithmetic.collective_time` counts it.
        seconds: of one call, median over samples of the slowest rank.
        algorithm_bytes_per_s: bytes_ / seconds.
        bus_bytes_per_s: the same times nccl-tests' factor, which compares with a link's own bandwidth.
    """

    op: Collective
    algorithm: str
    ranks: int
    bytes_: int
    seconds: float
    algorithm_bytes_per_s: float
    bus_bytes_per_s: float


Algorithm = str | Schedule | Callable[[Tensor], Any]


def measure(
    op: Collective, sizes_bytes: Sequence[int], algorithm: Algorithm = LIBRARY, *, samples: int = 5, name: str = ""
) -> list[Timing]:
    """Time a collective in a running process group, on its backend's kind of device; every rank must call it alike.

    Args:
        op: "all_reduce", "all_gather", "reduce_scatter", "broadcast" or "all_to_all".
        sizes_bytes: sizes of the whole buffer, rounded up to a multiple of 4 bytes for each rank.
        algorithm: "library" for torch.distributed's own; a name or schedule for ours; or any function of a tensor, such
            as a learner's ring.
        samples: of which the median is taken.
        name: of the algorithm in the rows; its own when left out.

    Returns:
        One row for each size, the same on every rank.

    Raises:
        TrainingSetupError: for a size or number below 1.
        ArithmeticInputError: for an unknown collective or algorithm.
    """
    algorithms(op)  # refuses what is no collective
    check_count("samples", samples)
    for size in sizes_bytes:
        check_count("sizes_bytes", size)
    ranks, machine = dist.get_world_size(), _machine()
    device = machine.device(dist.get_node_local_rank(fallback_rank=0))
    call, known_as = _call(op, algorithm)
    rows = []
    for size in sizes_bytes:
        each = -(-size // (4 * ranks))  # elements of a rank's chunk
        tensor = torch.zeros(each if op == "all_gather" else each * ranks, device=device)  # (elements,)
        whole = 4 * each * ranks
        calls = max(1, min(MOST_CALLS, CALLS_BYTES // whole))
        seconds = _seconds(functools.partial(call, tensor), calls, samples, machine)
        rate = whole / seconds
        rows.append(Timing(op, name or known_as, ranks, whole, seconds, rate, rate * bus_bandwidth_factor(op, ranks)))
    return rows


def measure_on_ranks(
    op: Collective,
    sizes_bytes: Sequence[int],
    ranks: int,
    algorithms: Sequence[Algorithm] = (LIBRARY, "ring"),
    *,
    samples: int = 5,
    launcher: Callable[..., list[Any]] = launch,
) -> list[Timing]:
    """Start ranks on this machine, time several algorithms there one after the other, and end them.

    Args:
        op, sizes_bytes, samples: as in `measure`.
        ranks: how many, 2 or more.
        algorithms: each as in `measure`.
        launcher: how ranks are started.

    Returns:
        The rows of all algorithms.

    Raises:
        TrainingSetupError: for fewer than 2 ranks.
        LaunchError: when a rank fails, for instance because it does not know the algorithm.
    """
    check_count("ranks", ranks, minimum=2)

    def of_rank() -> list[Timing]:
        return [row for algorithm in algorithms for row in measure(op, sizes_bytes, algorithm, samples=samples)]

    rows: list[Timing] = launcher(of_rank, ranks)[0]
    return rows


def _seconds(call: Callable[[], Any], calls: int, samples: int, machine: Hardware) -> float:
    """Seconds of one call: median over samples of the slowest rank's time for `calls` in a row."""
    for _ in range(WARM_UP_CALLS):
        call()
    taken = torch.empty(samples, dtype=torch.float64)  # (samples,), seconds
    for sample in range(samples):
        dist.barrier()
        machine.synchronize()
        started = time.perf_counter()
        for _ in range(calls):
            call()
        machine.synchronize()  # such a call on a GPU returns before its work is done
        taken[sample] = time.perf_counter() - started
    slowest = taken.to(machine.device(dist.get_node_local_rank(fallback_rank=0)))
    dist.all_reduce(slowest, op=dist.ReduceOp.MAX)
    return float(slowest.cpu().quantile(0.5)) / calls


def _machine() -> Hardware:
    """The hardware whose backend the process group has."""
    kind = next((kind for kind, backend in BACKENDS.items() if backend == dist.get_backend()), "cpu")
    return hardware(kind)


def _call(op: Collective, algorithm: Algorithm) -> tuple[Callable[[Tensor], Any], str]:
    if algorithm == LIBRARY:
        return _library(op), dist.get_backend()
    if isinstance(algorithm, str | Schedule):
        ours = getattr(operations, op)
        return functools.partial(ours, algorithm=algorithm), getattr(algorithm, "algorithm", str(algorithm))
    return algorithm, getattr(algorithm, "__name__", "own")


def _library(op: Collective) -> Callable[[Tensor], Any]:
    ranks = dist.get_world_size()

    def gather(tensor: Tensor) -> None:
        dist.all_gather(list(tensor.new_empty(ranks, tensor.numel())), tensor)

    def scatter(tensor: Tensor) -> None:
        parts = list(tensor.view(ranks, -1))
        dist.reduce_scatter(torch.empty_like(parts[0]), parts)

    calls: dict[Collective, Callable[[Tensor], Any]] = {
        "all_reduce": dist.all_reduce,
        "all_gather": gather,
        "reduce_scatter": scatter,
        "broadcast": functools.partial(dist.broadcast, src=0),
        "all_to_all": lambda tensor: dist.all_to_all_single(torch.empty_like(tensor), tensor),
    }
    return calls[op]
