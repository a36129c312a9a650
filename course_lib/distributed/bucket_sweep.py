"""How large DDP's buckets should be: time of a step, of its computing alone and of its exchange alone, for each size.

Small buckets start while the backward pass still runs; large ones pay latency less often. What is best depends on the
model and the network, so it is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from course_lib.distributed.config import TrainConfig
from course_lib.distributed.ddp import ddp
from course_lib.distributed.errors import TrainingSetupError, check_count, check_positive
from course_lib.distributed.run import markov_batches
from course_lib.models import Batch
from course_lib.runtime import Hardware, hardware, launch

STEPS_UNTIL_REBUILT = 2  # DDP lays its buckets anew after the first step, by the order in which gradients came


@dataclass(frozen=True)
class BucketTiming:
    """One bucket size. Times are of a forward and backward pass, medians of the slowest rank.

    Args:
        bucket_mb: the limit that was asked for, 2**20 bytes.
        buckets: bytes of each bucket, in the order of exchange.
        step_seconds: with the exchange of gradients.
        compute_seconds: without.
        exchange_seconds: the same buckets all-reduced, with nothing else to do.
    """

    bucket_mb: float
    buckets: tuple[int, ...]
    step_seconds: float
    compute_seconds: float
    exchange_seconds: float

    @property
    def exposed_seconds(self) -> float:
        """What the exchange adds to a step; noise can make it negative."""
        return self.step_seconds - self.compute_seconds

    @property
    def hidden_fraction(self) -> float:
        """Share of the exchange that ran beside the backward pass, 0 to 1.

        Where computing and exchanging share the same cores, as on a CPU, even a perfect overlap hides little.
        """
        return min(1.0, max(0.0, 1 - self.exposed_seconds / self.exchange_seconds))


def bucket_sweep(
    config: TrainConfig,
    sizes_mb: Sequence[float] = (0.1, 1.0, 5.0, 25.0),
    ranks: int = 2,
    *,
    repeats: int = 5,
    hardware_kind: str = "cpu",
    launcher: Callable[..., list[Any]] = launch,
) -> list[BucketTiming]:
    """Time DDP with several bucket sizes in one launch.

    Args:
        config: of the run; its model should have gradients of several buckets.
        sizes_mb: bucket sizes, 2**20 bytes.
        ranks: how many, 2 or more.
        repeats: of which the median is taken; the three times of a size take turns, so that a slow moment meets all.
        hardware_kind: as in `run`.
        launcher: how ranks are started.

    Returns:
        One row for each size; `min(rows, key=lambda row: row.step_seconds)` is the one to use.

    Raises:
        TrainingSetupError: for fewer than 2 ranks, no size or one that is not above 0, or a batch that can't be shared.
    """
    check_count("ranks", ranks, minimum=2)
    check_count("repeats", repeats)
    if not sizes_mb:
        raise TrainingSetupError.of("sizes_mb", list(sizes_mb), "holds no size", "give some, such as (1.0, 25.0)")
    for size in sizes_mb:
        check_positive("sizes_mb", size, "give sizes such as 25.0")

    def of_rank() -> list[BucketTiming]:
        machine = hardware(hardware_kind)
        return [_of_size(config, machine, size, repeats) for size in sizes_mb]

    rows: list[BucketTiming] = launcher(of_rank, ranks, hardware=hardware_kind)[0]
    return rows


def _of_size(config: TrainConfig, machine: Hardware, bucket_mb: float, repeats: int) -> BucketTiming:
    batch = markov_batches(config)[0]
    buckets = _buckets(config, machine, bucket_mb, batch)
    engine = ddp(config, machine, bucket_mb=bucket_mb)
    model = engine.model
    assert isinstance(model, DistributedDataParallel)
    rows = engine.share.of(batch)
    gradients = [torch.zeros(size // 4, device=machine.device(0)) for size in buckets]  # (elements,) of each bucket

    def passes(context: Callable[[], AbstractContextManager[None]]) -> None:
        with context():
            engine.forward_backward(rows)
        model.zero_grad()

    def exchange() -> None:
        for work in [dist.all_reduce(gradient, async_op=True) for gradient in gradients]:
            assert work is not None
            work.wait()

    kinds: list[Callable[[], None]] = [lambda: passes(nullcontext), lambda: passes(model.no_sync), exchange]
    for _ in range(STEPS_UNTIL_REBUILT):
        for kind in kinds:
            kind()
    taken = torch.tensor([[_seconds(kind, machine) for kind in kinds] for _ in range(repeats)])  # (repeats, 3)
    dist.all_reduce(taken, op=dist.ReduceOp.MAX)
    step, compute, alone = taken.median(0).values.tolist()
    return BucketTiming(bucket_mb, buckets, step, compute, alone)


def _seconds(call: Callable[[], None], machine: Hardware) -> float:
    dist.barrier()
    started = time.perf_counter()
    call()
    machine.synchronize()
    return time.perf_counter() - started


def _buckets(config: TrainConfig, machine: Hardware, bucket_mb: float, batch: Batch) -> tuple[int, ...]:
    """Bytes of the buckets that DDP settles on, told by a hook, on a model of its own: a hook takes time itself."""
    engine = ddp(config, machine, bucket_mb=bucket_mb)
    sizes: list[int] = []

    def telling(group: Any, bucket: Any) -> torch.futures.Future[Tensor]:
        sizes.append(bucket.buffer().numel() * bucket.buffer().element_size())
        return allreduce_hook(group, bucket)

    telling.__annotations__ = {}  # DDP compares them with its own class, and here they are strings
    model = engine.model
    assert isinstance(model, DistributedDataParallel)
    model.register_comm_hook(dist.group.WORLD, telling)
    for _ in range(STEPS_UNTIL_REBUILT):
        sizes.clear()
        engine.forward_backward(engine.share.of(batch))
    return tuple(sizes)
