"""The five collectives over point-to-point messages: any algorithm of `course_lib.arithmetic.network`, on real tensors.

For learning and measuring. A library's own collective does the same with fewer copies and without Python in between.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from course_lib.arithmetic import Collective
from course_lib.arithmetic.network import Schedule, schedule
from course_lib.distributed.collectives.agreement import check_agreement
from course_lib.distributed.collectives.play import Tally, play
from course_lib.distributed.errors import TrainingSetupError

Group = dist.ProcessGroup | None


def all_reduce(
    tensor: Tensor,
    algorithm: str | Schedule = "ring",
    *,
    group: Group = None,
    tally: Tally | None = None,
    check: bool = False,
) -> Tensor:
    """Replace a tensor by its sum over all ranks.

    Args:
        tensor: any shape and numeric type, the same on every rank; need not be contiguous.
        algorithm: a name of `arithmetic.network.algorithms("all_reduce")`, or a schedule such as
            `hierarchical("all_reduce", per_node, nodes)`.
        group: of ranks; the default group when left out.
        tally: counts what this rank sends.
        check: first ask all ranks whether they mean the same; a debugging aid that costs a message more.

    Returns:
        The same tensor. Sums are added in the algorithm's order, as other algorithms differ in the last bits.

    Raises:
        TrainingSetupError: for a schedule of another collective or number of ranks, or ranks that differ (`check`).
        ArithmeticInputError: for an unknown name, or ranks that the algorithm can't take.
    """
    return _in_place(_plan("all_reduce", algorithm, group, tensor, check), tensor, group, tally)


def broadcast(
    tensor: Tensor,
    root: int = 0,
    algorithm: str | Schedule = "binomial",
    *,
    group: Group = None,
    tally: Tally | None = None,
    check: bool = False,
) -> Tensor:
    """Replace a tensor by that of one rank.

    Args:
        tensor: any shape and type, the same on every rank; need not be contiguous.
        root: the rank in the group that gives; a schedule brings its own.
        algorithm, group, tally, check: as in `all_reduce`.

    Returns:
        The same tensor.

    Raises:
        TrainingSetupError, ArithmeticInputError: as in `all_reduce`, and for a root that is no rank.
    """
    return _in_place(_plan("broadcast", algorithm, group, tensor, check, root), tensor, group, tally)


def all_gather(
    tensor: Tensor,
    algorithm: str | Schedule = "ring",
    *,
    group: Group = None,
    tally: Tally | None = None,
    check: bool = False,
) -> Tensor:
    """Put the tensors of all ranks together.

    Args:
        tensor: any shape and type, the same on every rank.
        algorithm, group, tally, check: as in `all_reduce`.

    Returns:
        (ranks, *shape).

    Raises:
        TrainingSetupError, ArithmeticInputError: as in `all_reduce`.
    """
    plan = _plan("all_gather", algorithm, group, tensor, check)
    mine = tensor.detach().contiguous().view(-1)  # (elements,)
    chunks = {dist.get_rank(group): mine}
    play(plan, chunks, [mine.numel()] * plan.ranks, mine, group, tally or Tally())
    return torch.stack([chunks[rank] for rank in range(plan.ranks)]).view(plan.ranks, *tensor.shape)


def reduce_scatter(
    tensor: Tensor,
    algorithm: str | Schedule = "ring",
    *,
    group: Group = None,
    tally: Tally | None = None,
    check: bool = False,
) -> Tensor:
    """Add up the tensors of all ranks, and keep one chunk of the sum.

    Args:
        tensor: any shape and numeric type, the same on every rank; left as it is.
        algorithm, group, tally, check: as in `all_reduce`.

    Returns:
        (elements / ranks,): part number `rank` of `torch.tensor_split(sum.flatten(), ranks)`; where that does not
        divide, the first ranks have one element more.

    Raises:
        TrainingSetupError, ArithmeticInputError: as in `all_reduce`.
    """
    plan = _plan("reduce_scatter", algorithm, group, tensor, check)
    flat = tensor.detach().flatten().clone()  # (elements,)
    parts = torch.tensor_split(flat, plan.chunks)
    chunks = dict(enumerate(parts))
    play(plan, chunks, _sizes(parts), flat, group, tally or Tally())
    return chunks[dist.get_rank(group)].clone()


def all_to_all(
    tensor: Tensor,
    algorithm: str | Schedule = "pairwise",
    *,
    group: Group = None,
    tally: Tally | None = None,
    check: bool = False,
) -> Tensor:
    """Give every rank its part of this rank's tensor, and collect this rank's part of all others'.

    Args:
        tensor: any shape and type, the same on every rank; part d of `torch.tensor_split(tensor.flatten(), ranks)` is
            for rank d.
        algorithm, group, tally, check: as in `all_reduce`.

    Returns:
        (ranks * m,), m the elements of this rank's part: from rank 0, rank 1, ...

    Raises:
        TrainingSetupError, ArithmeticInputError: as in `all_reduce`.
    """
    plan = _plan("all_to_all", algorithm, group, tensor, check)
    rank, ranks = dist.get_rank(group), plan.ranks
    flat = tensor.detach().contiguous().view(-1)  # (elements,)
    parts = torch.tensor_split(flat, ranks)
    blocks = {rank * ranks + to: part for to, part in enumerate(parts)}
    play(plan, blocks, _sizes(parts) * ranks, flat, group, tally or Tally())
    return torch.cat([blocks[origin * ranks + rank] for origin in range(ranks)])


def _plan(
    op: Collective, algorithm: str | Schedule, group: Group, tensor: Tensor, check: bool, root: int = 0
) -> Schedule:
    ranks = dist.get_world_size(group)
    plan = schedule(op, ranks, algorithm, root=root) if isinstance(algorithm, str) else algorithm
    if (plan.op, plan.ranks) != (op, ranks):
        given = f"{plan.op} for {plan.ranks} ranks"
        limit = f"is given to {op} on {ranks} ranks"
        raise TrainingSetupError.of("schedule", given, limit, f"make one with schedule({op!r}, {ranks})")
    if check:
        check_agreement(f"{op}, {plan.algorithm}, root {plan.root}", tensor, group)
    return plan


def _in_place(plan: Schedule, tensor: Tensor, group: Group, tally: Tally | None) -> Tensor:
    flat = tensor.detach().contiguous().view(-1)  # (elements,)
    parts = torch.tensor_split(flat, plan.chunks)
    play(plan, dict(enumerate(parts)), _sizes(parts), flat, group, tally or Tally())
    if flat.data_ptr() != tensor.data_ptr():
        tensor.detach().copy_(flat.view(tensor.shape))
    return tensor


def _sizes(parts: tuple[Tensor, ...]) -> list[int]:
    return [part.numel() for part in parts]
