"""The experts of one layer shared by ranks: takes the place of `Experts`, whose parameters keep names and shapes."""

from __future__ import annotations

from typing import Literal, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.func import functional_call

from course_lib.moe.errors import MoEError, check_count
from course_lib.moe.expert_parallel.dispatch import in_equal_blocks, on_their_ranks
from course_lib.moe.experts import Experts

ExchangeForm = Literal["variable", "capacity"]


class ParallelExperts(nn.Module):
    """`Experts` of which each rank of a mesh's last axis holds an equal part, neighbors by number.

    Args:
        experts: the layer's, all of them; the same weights on every rank. Their memory is given up.
        mesh: one axis, the ranks that share the experts; or two, replicas outermost.
        exchange: "variable" sends the rows there are and their counts; "capacity" sends padded blocks.

    Parameters: as of `Experts`, (experts, ...) each, as `DTensor`s: cut along the experts, the same on each replica.

    Attributes:
        capacity: most rows of an expert from one rank in the next forward pass, for "capacity".

    Raises:
        MoEError: when the ranks can't share the experts equally.
    """

    def __init__(self, experts: Experts, mesh: DeviceMesh, exchange: ExchangeForm = "variable") -> None:
        super().__init__()
        self.config, self.exchange, self.capacity = experts.config, exchange, 0
        self.group: dist.ProcessGroup = mesh.get_group(mesh.ndim - 1)
        check_experts(len(experts.up), mesh.size(mesh.ndim - 1))
        layout = [Replicate()] * (mesh.ndim - 1) + [Shard(0)]
        first, count = mesh.get_local_rank(mesh.ndim - 1), len(experts.up) // mesh.size(mesh.ndim - 1)
        for name, whole in experts.named_parameters():
            part = whole.detach()[first * count : (first + 1) * count].clone()  # (experts / ranks, ...)
            shared = DTensor.from_local(part, mesh, layout, run_check=False)
            self.register_parameter(name, nn.Parameter(shared, requires_grad=whole.requires_grad))
        # what computes, and holds no weights; in a list, so that it is no part of this module's state
        self._work = [experts.to("meta")]

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """(slots, hidden) sorted by expert, (experts,) rows of each -> (slots, hidden); all ranks must call it."""
        if torch.is_autocast_enabled(x.device.type):  # what is computed in half the bits is sent in half the bytes
            x = x.to(torch.get_autocast_dtype(x.device.type))
        mine = {name: cast(DTensor, parameter).to_local() for name, parameter in self.named_parameters()}

        def work(rows: Tensor, rows_of_each: Tensor) -> Tensor:
            out: Tensor = functional_call(self._work[0], mine, (rows, rows_of_each))
            return out

        if self.exchange == "capacity":
            check_count("capacity", self.capacity, minimum=0)
            return in_equal_blocks(x, counts, work, self.capacity, self.group)
        return on_their_ranks(x, counts, work, self.group)


def check_experts(experts: int, ranks: int) -> None:
    """Raise `MoEError` unless each of `ranks` gets equally many experts; the remedy names the numbers that fit."""
    if experts % ranks:
        fitting = " or ".join(str(n) for n in range(1, experts + 1) if experts % n == 0)
        limit = f"can't be shared equally by {ranks} ranks"
        raise MoEError.of("experts", experts, limit, f"use expert_ranks={fitting}")
