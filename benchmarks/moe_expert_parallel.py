"""What sharing a layer's experts between two processes costs beyond its compute and its bytes.

Limit: 1.10 times the sum of what can't be saved, measured in the same run: the router and the sums over a token's
experts without any expert, the experts' compute on the rows that arrive here, and the bare all-to-alls of the same
bytes. The rest is sorting, copying, and waiting for the other rank.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh

from benchmarks.ratio import Ratio, compare
from course_lib.distributed import launch
from course_lib.moe import MoEConfig, MoELayer, share_experts
from course_lib.moe.expert_parallel import exchange_counts
from course_lib.moe.experts import Experts

RANKS, TOKENS = 2, 1024  # tokens of each rank
CONFIG = MoEConfig(hidden_size=512, expert_hidden_size=1024, experts=8, experts_per_token=2)
HOT = 1.0  # added to the logit of the first expert, when skewed


class NoExperts(nn.Module):
    """In place of the experts: hands back what it gets."""

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        return x


def layer(skewed: bool) -> MoELayer:
    """The same weights on every rank; when skewed, input 0, which is always 1, speaks for the first expert."""
    torch.manual_seed(0)
    made = MoELayer(CONFIG)
    with torch.no_grad():
        made.router.weight[:, 0] = 0.0
        made.router.weight[0, 0] = HOT * skewed
    return made


def tokens() -> Tensor:
    """This rank's tokens, (tokens, hidden)."""
    x = torch.randn(TOKENS, CONFIG.hidden_size, generator=torch.Generator().manual_seed(dist.get_rank()))
    x[:, 0] = 1.0
    return x.requires_grad_()


def bare_exchanges(sends: list[int], receives: list[int]) -> Callable[[], None]:
    """The all-to-alls of a forward and a backward pass, and nothing else."""
    leaving, arriving = (torch.zeros(sum(rows), CONFIG.hidden_size) for rows in (sends, receives))
    counts = torch.zeros(CONFIG.experts, dtype=torch.int64)

    def work() -> None:
        dist.all_to_all_single(torch.empty_like(counts), counts)
        for _ in ("dispatch", "combine backward"):
            dist.all_to_all_single(arriving, leaving, receives, sends)
        for _ in ("combine", "dispatch backward"):
            dist.all_to_all_single(leaving, arriving, sends, receives)

    return work


def of_rank(skewed: bool) -> Ratio:
    """A forward and a backward pass of the shared layer against the sum of its parts, on this rank."""
    shared, alone, x = layer(skewed), layer(skewed), tokens()
    share_experts(shared, init_device_mesh("cpu", (RANKS,)))
    alone.experts = NoExperts()  # type: ignore[assignment]
    shared(x)
    counts = shared.last_routing.slots().counts  # type: ignore[union-attr]
    arriving = exchange_counts(counts)  # (ranks, experts / ranks)
    rows = torch.randn(int(arriving.sum()), CONFIG.hidden_size, requires_grad=True)
    experts, exchanges = (
        Experts(CONFIG, CONFIG.experts // RANKS),
        bare_exchanges(counts.view(RANKS, -1).sum(1).tolist(), arriving.sum(1).tolist()),
    )

    def ours() -> None:
        shared(x).square().sum().backward()

    def bound() -> None:
        alone(x).square().sum().backward()
        experts(rows, arriving.sum(0)).square().sum().backward()
        exchanges()

    load = "hot expert" if skewed else "even load"
    what = f"expert-parallel layer, forward + backward, {RANKS} ranks, {load} ({int(arriving.sum())} rows on rank 0)"
    return compare(what, ours, "its compute + its bytes", bound, 11)


def measure() -> list[Ratio]:
    """At most 1.10 with even load and with a hot expert."""
    return [launch(of_rank, RANKS, skewed, threads_per_rank=1, output="none")[0] for skewed in (False, True)]
