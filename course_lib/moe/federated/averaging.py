"""The server's part: one model from those of the clients, each expert by what it has worked on at each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor

from course_lib.moe.errors import MoEError, check_count

ExpertWeighting = Literal["load", "tokens"]
COUNTS = (torch.int64, torch.int32)


@dataclass(frozen=True, eq=False)
class Update:
    """What a client sends back after its local steps.

    Args:
        weights: of its whole model, by the model's names, on the CPU.
        tokens: that it trained on.
        loads: beginning of the names of a mixture's experts, such as "layers.0.feed_forward.experts." → (experts,) of
            int64, the tokens that each of them worked on. The first axis of these tensors is the expert's number.
    """

    weights: Mapping[str, Tensor] = field(repr=False)
    tokens: int
    loads: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def bytes_(self) -> int:
        """Bytes of its tensors: what a client sends, without names and shapes."""
        return sum(value.nbytes for value in (*self.weights.values(), *self.loads.values()))


def average(updates: Sequence[Update], *, experts: ExpertWeighting = "load") -> dict[str, Tensor]:
    """The mean of the clients' models: sum over clients of n_c / n * w_c, with n_c its tokens.

    Args:
        updates: one for each client, all of the same model.
        experts: "load" takes for n_c, expert by expert, the tokens that the expert worked on at the client, so that a
            client which never used it does not pull it back to where it was. An expert that nobody used goes by the
            clients' tokens: weight decay alone has moved it. "tokens" takes the clients' tokens for experts as well:
            plain federated averaging, which after one step of SGD is the step on all the clients' text.

    Returns:
        Weights by name, of the clients' types. Whole numbers, such as a hash router's table, are the first client's.

    Raises:
        MoEError: for no updates, a client without tokens or weights, models that differ, a load of another shape or
            of numbers that are no counts, or weights that are not finite.

    Source: McMahan et al. 2017 (arXiv:1602.05629) algorithm 1. The weighting of experts by load is this course's.
    """
    if not updates:
        raise MoEError.of("updates", [], "are none", "give one for each client")
    if experts not in get_args(ExpertWeighting):
        raise MoEError.of("experts", experts, "is not known", "use 'load' or 'tokens'")
    for number, update in enumerate(updates):
        _check(update, updates[0], number)
    tokens = torch.tensor([update.tokens for update in updates], dtype=torch.float64)  # (clients,)
    shares = tokens / tokens.sum()  # (clients,)
    averaged = {}
    for name, first in updates[0].weights.items():
        if not first.is_floating_point():
            averaged[name] = first.clone()
            continue
        prefix = next((prefix for prefix in updates[0].loads if name.startswith(prefix)), None)
        each = shares  # (clients,), or (clients, experts)
        if experts == "load" and prefix is not None:
            each = load_shares(torch.stack([update.loads[prefix] for update in updates]), shares)
        total = torch.zeros(first.shape, dtype=torch.float64)
        for share, update in zip(each, updates, strict=True):
            total += share.reshape(share.shape + (1,) * (first.dim() - share.dim())) * update.weights[name].double()
        averaged[name] = total.to(first.dtype)
    return averaged


def load_shares(loads: Tensor, shares: Tensor) -> Tensor:
    """What each client counts in the mean of each expert.

    Args:
        loads: (clients, experts), tokens that each expert worked on.
        shares: (clients,) of fp64, for experts that nobody used.

    Returns:
        (clients, experts) of fp64; the sum over clients is 1.
    """
    total = loads.sum(0)  # (experts,)
    return torch.where(total > 0, loads.double() / total.clamp(min=1), shares[:, None])


def _check(update: Update, first: Update, number: int) -> None:
    check_count(f"tokens of client {number}", update.tokens)
    own, expected = ({name: value.shape for name, value in u.weights.items()} for u in (update, first))
    if not own:
        raise MoEError.of(f"weights of client {number}", [], "are none", "give Engine.full_state()")
    if own != expected:
        differing = sorted(name for name in own.keys() | expected.keys() if own.get(name) != expected.get(name))
        raise MoEError.of(
            f"weights of client {number}", differing[:4], "differ from client 0's", "let all train the same model"
        )
    if update.loads.keys() != first.loads.keys():
        raise MoEError.of(
            f"loads of client {number}", list(update.loads), f"are not of {list(first.loads)}", "count the same layers"
        )
    for prefix, load in update.loads.items():
        stacked = {value.shape[:1] for name, value in update.weights.items() if name.startswith(prefix)}
        if stacked != {load.shape} or load.dtype not in COUNTS or bool((load < 0).any()):
            raise MoEError.of(
                f"loads of client {number} at {prefix}",
                load.tolist(),
                f"must be one whole number, 0 or more, for each expert of {[tuple(s) for s in stacked] or 'no tensor'}",
                "give the sum of Routing.load()",
            )
    for name, value in update.weights.items():
        if not bool(torch.isfinite(value).all()):
            raise MoEError.of(
                f"weights of client {number}", name, "are not finite", "leave the client out, or lower learning_rate"
            )
