"""Hash routing: a token's id alone decides its experts, so that there is nothing to learn and nothing to balance."""

from __future__ import annotations

import heapq
from typing import Literal

import torch
from torch import Tensor, nn

from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError
from course_lib.moe.routers.scoring import Place
from course_lib.moe.routing import Routing

Kind = Literal["random", "modulo"]
KINDS: tuple[Kind, ...] = ("random", "modulo")


class Hash(nn.Module):
    """Experts by token id, each with weight 1 / k.

    Args:
        config: of the layer, with the hash's seed.
        place: of the layer, for error messages.
        kind: "random": a hash of id, expert and seed ranks the experts, and the first k are the token's. "modulo":
            expert (id + seed) mod E and the k - 1 after it, which follows whatever order the tokenizer gave its ids.
        frequencies: (vocabulary,), how often each id occurs in the text; with them a table takes the place of the hash:
            ids from the most frequent on each get the k experts that have least to do so far.

    Raises:
        MoEError: for an unknown kind, or frequencies that are none.

    Source: Roller et al. 2021 (arXiv:2106.04426) section 3: random and balanced hash; Thaler & Ravishankar 1998
        ("Using name-based mappings to increase hit rates") for ranking by hashes.
    """

    causal = True

    def __init__(
        self,
        config: MoEConfig,
        place: Place | None = None,
        *,
        kind: Kind = "random",
        frequencies: Tensor | None = None,
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise MoEError.of("kind", kind, "is not known", f"use one of {', '.join(KINDS)}")
        self.config, self.kind, self.place = config, kind, place or Place()
        self.table: Tensor | None
        self.register_buffer("table", None if frequencies is None else balanced_table(config, frequencies))

    def forward(self, x: Tensor, ids: Tensor | None = None, task: Tensor | None = None) -> Routing:
        """Where tokens go.

        Args:
            x: (tokens, hidden); its values have no say.
            ids: (tokens,) of int64.
            task: for other routers.

        Raises:
            MoEError: for wrong x, ids that are missing, of another shape or no whole numbers, or beyond the table.
        """
        if x.dim() != 2 or x.shape[1] != self.config.hidden_size:
            raise MoEError.of("x", tuple(x.shape), f"must be (tokens, {self.config.hidden_size})", "match hidden_size")
        experts = self._experts(self._checked(x, ids))  # (tokens, k)
        k, total = self.config.experts_per_token, self.config.experts
        probabilities = torch.zeros(len(x), total, device=x.device).scatter(1, experts, 1 / k)
        weights = torch.full((len(x), k), self.config.scale / k, dtype=x.dtype, device=x.device)
        return Routing(experts, weights, probabilities, torch.zeros_like(probabilities))

    def _checked(self, x: Tensor, ids: Tensor | None) -> Tensor:
        if ids is None:
            raise MoEError.of("ids", None, "are missing", "hand the token ids to the layer: layer(x, ids=tokens)")
        if ids.shape != x.shape[:1] or ids.is_floating_point() or ids.dtype == torch.bool:
            raise MoEError.of("ids", f"{tuple(ids.shape)} of {ids.dtype}", f"must be ({len(x)},) of int64", "match x")
        last = None if self.table is None else len(self.table) - 1
        if len(ids) and not torch.compiler.is_compiling():
            low, high = int(ids.min()), int(ids.max())
            if low < 0 or (last is not None and high > last):
                known = f"from 0 to {last}" if last is not None else "0 or more"
                raise MoEError.of("ids", low if low < 0 else high, f"must be {known}", "use the tokenizer's ids")
        return ids.long()

    def _experts(self, ids: Tensor) -> Tensor:
        """(tokens,) -> (tokens, k)."""
        if self.table is not None:
            return self.table[ids]
        columns = torch.arange(self.config.experts, device=ids.device)  # (experts,)
        if self.kind == "modulo":
            return (ids[:, None] + self.config.seed + columns[: self.config.experts_per_token]) % self.config.experts
        seeded = mixed(mixed(ids + (self.config.seed << 20))[:, None] + columns)  # (tokens, experts)
        return seeded.topk(self.config.experts_per_token, dim=1).indices


def mixed(x: Tensor) -> Tensor:
    """A hash of each int64: the finalizer of SplitMix64, whose products wrap around.

    Source: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators".
    """
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * -0x40A7B892E31B1A47
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * -0x6B2FB644ECCEEE15
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


def balanced_table(config: MoEConfig, frequencies: Tensor) -> Tensor:
    """(vocabulary, k) of int64: each id's experts, so that experts get about equally much text.

    Source: Roller et al. 2021 (arXiv:2106.04426) section 3.1, "balanced assignment".
    """
    often = frequencies.double()
    if often.dim() != 1 or not len(often) or not bool((often.isfinite() & (often >= 0)).all()):
        raise MoEError.of(
            "frequencies", tuple(often.shape), "must be (vocabulary,) finite numbers, 0 or more", "count each id"
        )
    shuffled = torch.randperm(config.experts, generator=torch.Generator().manual_seed(config.seed)).tolist()
    queue = [(0.0, 0, place, expert) for place, expert in enumerate(shuffled)]  # load, ids, tie-breaker, expert
    table = torch.empty(len(often), config.experts_per_token, dtype=torch.int64)
    for token in often.argsort(descending=True, stable=True).tolist():
        least = [heapq.heappop(queue) for _ in range(config.experts_per_token)]
        table[token] = torch.tensor([expert for *_, expert in least])
        for load, held, place, expert in least:
            heapq.heappush(queue, (load + float(often[token]), held + 1, place, expert))
    return table
