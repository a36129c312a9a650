"""The same call under torchrun: the ranks exist already, on any number of machines, and this process is one of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from course_lib.runtime.launch_errors import LaunchError

Result = TypeVar("Result")
MARK = "TORCHELASTIC_RUN_ID"  # torchrun sets it in every worker


def under_torchrun() -> bool:
    """Whether torchrun (or torch.distributed.elastic) started this process as a rank."""
    return MARK in os.environ


def call_as_rank(call: Callable[[], Result], world_size: int, kind: str) -> list[Result]:
    """Run a call as the rank that torchrun has made of this process, and exchange the results.

    Args:
        call: what each rank runs.
        world_size: how many ranks the program expects.
        kind: of hardware.

    Returns:
        The results of all ranks in their order, on every rank.

    Raises:
        LaunchError: when torchrun started another number of ranks.

    Source: docs.pytorch.org/docs/stable/elastic/run.html, "Environment Variables".
    """
    import torch.distributed as dist

    from course_lib.runtime.hardware import hardware

    started = int(os.environ["WORLD_SIZE"])
    if started != world_size:
        raise LaunchError(
            f"world_size={world_size} was asked for, but torchrun started {started} ranks. Remedy: make nnodes times "
            f"nproc-per-node {world_size}, or ask for {started}."
        )
    machine = hardware(kind)
    machine.claim(int(os.environ["LOCAL_RANK"]))
    ours = not dist.is_initialized()
    if ours:
        dist.init_process_group(machine.backend)
    result = call()
    results: list[Result] = [result] * world_size
    dist.all_gather_object(results, result)
    if ours:
        dist.destroy_process_group()
    return results
