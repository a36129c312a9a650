"""Figures of routing, as plotly figures: for a report, for a notebook, for the book."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import torch
from torch import Tensor

from course_lib.moe.analysis.measures import effective_experts, lift, together
from course_lib.moe.errors import MoEError

SCALE = "Viridis"  # even in lightness, and legible to those who see no red or green
AROUND_ONE = "RdBu_r"


def load_over_time(records: Sequence[dict[str, Any]], layer: int = 0) -> go.Figure:
    """Heat map: step by expert, the share of a batch's choices that each expert got.

    Args:
        records: of `read_records`.
        layer: which mixture, from 0 at the input.

    Raises:
        MoEError: for no records, or no such layer.
    """
    _check_layer(records, layer)
    loads = torch.tensor([record["layers"][layer]["load"] for record in records]).double()  # (records, experts)
    shares = loads / loads.sum(1, keepdim=True).clamp(min=1)
    even = 1 / loads.shape[1]
    fig = go.Figure(
        go.Heatmap(
            x=[record["step"] for record in records],
            y=list(range(loads.shape[1])),
            z=shares.T.tolist(),
            zmin=0,
            zmax=max(3 * even, float(shares.max())) if len(shares) else 1,
            colorscale=SCALE,
            colorbar={"title": "share"},
            hovertemplate="step %{x}, expert %{y}: %{z:.1%}<extra></extra>",
        )
    )
    return _titled(fig, "optimizer step", "expert")


def effective_over_time(records: Sequence[dict[str, Any]]) -> go.Figure:
    """Lines: the effective number of experts of each mixture over the steps."""
    _check_layer(records, 0)
    fig = go.Figure()
    for layer in range(len(records[0]["layers"])):
        loads = [torch.tensor(record["layers"][layer]["load"]).double() for record in records]
        fig.add_scatter(
            x=[record["step"] for record in records],
            y=[round(effective_experts(load), 3) for load in loads],
            name=f"layer {layer}",
            mode="lines",
        )
    return _titled(fig, "optimizer step", "effective experts")


def entropy_over_time(records: Sequence[dict[str, Any]]) -> go.Figure:
    """Lines: the mean entropy of each router's probabilities over the steps, in nats."""
    _check_layer(records, 0)
    fig = go.Figure()
    for layer in range(len(records[0]["layers"])):
        fig.add_scatter(
            x=[record["step"] for record in records],
            y=[record["layers"][layer]["entropy"] for record in records],
            name=f"layer {layer}",
            mode="lines",
        )
    return _titled(fig, "optimizer step", "router entropy (nats)")


def domains_by_expert(domain_loads: Tensor, domains: Sequence[str]) -> go.Figure:
    """Heat map: domain by expert, how many times as often as by chance an expert works on a domain.

    Args:
        domain_loads: (domains, experts) of one mixture.
        domains: their names.

    Raises:
        MoEError: when there are not as many names as rows.
    """
    if len(domains) != len(domain_loads):
        raise MoEError.of("domains", list(domains), f"must name {len(domain_loads)} domains", "use corpus.domains")
    fig = go.Figure(
        go.Heatmap(
            x=list(range(domain_loads.shape[1])),
            y=list(domains),
            z=lift(domain_loads).nan_to_num(0).tolist(),
            zmid=1,
            colorscale=AROUND_ONE,
            colorbar={"title": "lift"},
            hovertemplate="expert %{x}, %{y}: %{z:.2f} times chance<extra></extra>",
        )
    )
    return _titled(fig, "expert", "domain")


def co_activation(pairs: Tensor) -> go.Figure:
    """Heat map: of the tokens of an expert (row), the share that another one (column) works on too.

    Args:
        pairs: (experts, experts) of one mixture.
    """
    shares = together(pairs)
    fig = go.Figure(
        go.Heatmap(
            z=[[None if value != value else value for value in row] for row in shares.tolist()],
            colorscale=SCALE,
            zmin=0,
            colorbar={"title": "P(other)"},
            hovertemplate="expert %{y}'s tokens also visit %{x}: %{z:.1%}<extra></extra>",
        )
    )
    return _titled(fig, "other expert", "expert")


def paths(steps: Tensor) -> go.Figure:
    """Sankey diagram: first choices in one mixture against first choices in the next.

    Args:
        steps: (experts, experts) of one pair of neighboring mixtures.
    """
    experts = steps.shape[0]
    source, target = torch.meshgrid(torch.arange(experts), torch.arange(experts), indexing="ij")
    some = steps.flatten() > 0
    fig = go.Figure(
        go.Sankey(
            node={"label": [f"{side}{e}" for side in ("from ", "to ") for e in range(experts)], "pad": 8},
            link={
                "source": source.flatten()[some].tolist(),
                "target": (target.flatten()[some] + experts).tolist(),
                "value": steps.flatten()[some].tolist(),
            },
        )
    )
    fig.update_layout(height=420, margin={"t": 20})
    return fig


def _check_layer(records: Sequence[dict[str, Any]], layer: int) -> None:
    if not records:
        raise MoEError.of("records", [], "are none", "train a few steps first")
    count = len(records[0]["layers"])
    if not 0 <= layer < count:
        raise MoEError.of("layer", layer, f"is not one of {count} mixtures", f"use 0 to {count - 1}")


def _titled(fig: go.Figure, x: str, y: str) -> go.Figure:
    if y == "expert":
        fig.update_yaxes(tickmode="linear", dtick=1 if len(fig.data[0].z) <= 16 else 8)
    fig.update_xaxes(title_text=x)
    fig.update_yaxes(title_text=y)
    fig.update_layout(height=340, margin={"t": 20})
    return fig
