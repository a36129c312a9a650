"""Numbers that say what experts have divided among themselves, and how sure one can be of it."""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib.moe.errors import MoEError, check_count


def effective_experts(load: Tensor) -> float:
    """exp of the entropy of the loads: E when all are equal, 1 when one expert has everything.

    Args:
        load: (experts,), tokens of each.

    Returns:
        A number of experts; 0 for no tokens.

    Source: Hill 1973 ("Diversity and evenness"), the number of order 1.
    """
    shares = _shares(load, 1)
    return float(torch.special.entr(shares).sum().exp()) if float(shares.sum()) else 0.0


def mutual_information(table: Tensor) -> float:
    """How much one learns about the expert by knowing the row (a domain, a token id), in bits.

    Args:
        table: (rows, experts), how often each occurred together.

    Returns:
        sum p(r, e) log2(p(r, e) / p(r) p(e)): 0 when they are independent, at most log2 of the smaller side. Counted on
        a finite text it is too large: compare it with `chance_information`.

    Raises:
        MoEError: for a table that is not (rows, experts), or holds negative numbers.

    Source: Shannon 1948 ("A mathematical theory of communication") section 6; Cover & Thomas 2006, eq. 2.28.
    """
    joint = _shares(table, 2)
    product = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    seen = joint > 0
    return float((joint[seen] * (joint[seen] / product[seen]).log2()).sum())


def chance_information(table: Tensor) -> float:
    """The mutual information that a text of this size shows, to first order, where there is none, in bits.

    Args:
        table: (rows, experts), how often each occurred together; rows and experts that never occur don't count.

    Returns:
        (rows - 1) (experts - 1) / (2 n ln 2), for n independent counts. A token's k experts are not independent, so
        that chance may show up to k times as much.

    Source: Miller 1955 ("Note on the bias of information estimates").
    """
    _shares(table, 2)
    counts = table.double()
    n = float(counts.sum())
    if not n:
        return 0.0
    rows, experts = int((counts.sum(1) > 0).sum()), int((counts.sum(0) > 0).sum())
    return (rows - 1) * (experts - 1) / (2 * n * float(torch.log(torch.tensor(2.0))))


def lift(table: Tensor) -> Tensor:
    """p(r, e) / (p(r) p(e)): how many times as often as by chance.

    Args:
        table: (rows, experts), how often each occurred together.

    Returns:
        (rows, experts) of fp64; NaN where a row or an expert never occurs.
    """
    joint = _shares(table, 2)
    return joint / (joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True))


def together(pairs: Tensor) -> Tensor:
    """Of the tokens of one expert, the share that another expert works on too.

    Args:
        pairs: (experts, experts), tokens that were sent to both, loads on the diagonal.

    Returns:
        (experts, experts) of fp64, row e: P(other | e); NaN for an expert without tokens, and on the diagonal.
    """
    if pairs.dim() != 2 or pairs.shape[0] != pairs.shape[1]:
        raise MoEError.of("pairs", tuple(pairs.shape), "must be (experts, experts)", "give RoutingCounts.pairs[layer]")
    shares = pairs.double() / pairs.diagonal()[:, None].double()
    return shares.fill_diagonal_(float("nan"))


def favorite_tokens(table: Tensor, expert: int, most: int = 10, at_least: int = 5) -> list[tuple[int, int, float]]:
    """The token ids that an expert sees most often beyond chance.

    Args:
        table: (vocabulary, experts), how often each occurred together.
        expert: which.
        most: how many ids to name.
        at_least: leave out ids that occur in fewer choices: a token seen twice is always "special".

    Returns:
        (id, count, lift), the largest lift first.

    Raises:
        MoEError: when there is no such expert.
    """
    check_count("most", most)
    check_count("expert", expert, minimum=0)
    if expert >= table.shape[1]:
        raise MoEError.of("expert", expert, f"is not one of {table.shape[1]}", f"use 0 to {table.shape[1] - 1}")
    frequent = table.sum(1) >= at_least
    raised = torch.where(frequent, lift(table)[:, expert].nan_to_num(), 0)
    order = raised.argsort(descending=True, stable=True)[:most].tolist()
    return [(token, int(table[token, expert]), float(raised[token])) for token in order if raised[token] > 0]


def _shares(table: Tensor, dimensions: int) -> Tensor:
    if table.dim() != dimensions or not table.numel():
        wanted = "(experts,)" if dimensions == 1 else "(rows, experts)"
        raise MoEError.of("table", tuple(table.shape), f"must be {wanted}", "give counts of one layer")
    counts = table.detach().double().cpu()
    if bool((counts < 0).any()) or not bool(counts.isfinite().all()):
        raise MoEError.of("table", float(counts.min()), "must hold counts of at least 0", "give how often it occurred")
    return counts / counts.sum().clamp(min=1e-300)
