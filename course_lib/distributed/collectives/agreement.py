"""Asks all ranks whether they are about to call the same thing, before they wait for each other forever."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch.distributed as dist
from torch import Tensor

from course_lib.distributed.errors import TrainingSetupError


def check_agreement(call: str, tensor: Tensor, group: dist.ProcessGroup | None = None) -> None:
    """Compare a call with those of the other ranks; every rank must ask.

    Args:
        call: what is about to be called.
        tensor: with what.
        group: of ranks; the default group when left out.

    Raises:
        TrainingSetupError: on every rank alike, naming the ranks that differ from most.
    """
    mine = f"{call}, {tuple(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"
    calls: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(calls, mine, group=group)
    usual, _ = Counter(calls).most_common(1)[0]
    odd = {rank: said for rank, said in enumerate(calls) if said != usual}
    if odd:
        told = "; ".join(f"rank {rank}: {said}" for rank, said in odd.items())
        raise TrainingSetupError.of("collective", usual, f"is not what every rank calls. {told}", "give all the same")
