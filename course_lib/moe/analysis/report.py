"""One HTML file about the routing of a run: it needs no network, no server and no model."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import torch

from course_lib.moe.analysis import figures
from course_lib.moe.analysis.alarms import alarms
from course_lib.moe.analysis.html import figure, page, table
from course_lib.moe.analysis.measures import (
    chance_information,
    effective_experts,
    favorite_tokens,
    mutual_information,
)
from course_lib.moe.analysis.recorder import LOSSES_FILE, RUN_FILE, read_records
from course_lib.moe.analysis.saved import Named, load_counts
from course_lib.moe.balance import load_variation, max_violation
from course_lib.moe.errors import MoEError
from course_lib.runtime import whole_file


def summarize(folder: str | Path) -> dict[str, Any]:
    """The numbers of a report, for other programs.

    Args:
        folder: of a run that a `RoutingRecorder` wrote, finished or not.

    Returns:
        `run` (what was trained), `steps`, `loss` (the last, None while it trains), `layers` (of the last record:
        variation, max_violation, effective_experts, entropy, dropped), `alarms`, and `specialization` (bits by layer
        and what chance would show) when the run's folder holds routing counts.

    Raises:
        MoEError: for a folder without a recorded run, or one without a record.
    """
    path = Path(folder)
    records = read_records(path)
    if not records:
        raise MoEError.of("folder", str(folder), "has no record yet", "wait for the first step")
    losses = _json(path / LOSSES_FILE)
    summary: dict[str, Any] = {
        "run": _json(path / RUN_FILE),
        "steps": records[-1]["step"] + 1,
        "loss": losses[-1] if losses else None,
        "layers": [_layer(state) for state in records[-1]["layers"]],
        "alarms": [vars(alarm) for alarm in alarms(records)],
    }
    named = load_counts(path)
    if named is not None:
        summary["specialization"] = [
            {
                "domain_bits": mutual_information(by_domain),
                "domain_bits_by_chance": chance_information(by_domain),
                "token_bits": mutual_information(tokens),
                "token_bits_by_chance": chance_information(tokens),
            }
            for by_domain, tokens in zip(named.counts.domain_loads, named.counts.token_loads, strict=True)
        ]
    return summary


def write_report(folder: str | Path, target: str | Path | None = None) -> Path:
    """Write a run's report as one HTML file, whole or not at all.

    Args:
        folder: of the run.
        target: the file; `report.html` in the folder when left out.

    Returns:
        The file.

    Raises:
        MoEError: for a folder without a recorded run, or one without a record.
    """
    path = Path(folder)
    summary = summarize(path)
    records = read_records(path)
    losses = _json(path / LOSSES_FILE) or []
    run = summary["run"] or {}
    parts = [
        f"<h1>Routing of {escape(str(run.get('model', path.name)))}</h1>",
        f"<p>{summary['steps']} steps, {len(records)} recorded; {len(summary['layers'])} mixtures of "
        f"{len(records[0]['layers'][0]['load'])} experts; router {escape(str(run.get('router', 'unknown')))}, engine "
        f"{escape(str(run.get('engine', 'unknown')))} on {run.get('ranks', 1)} rank(s).</p>",
        _alarm_list(summary["alarms"]),
        _layertable(summary["layers"]),
    ]
    if losses:
        fig = go.Figure(go.Scatter(x=list(range(len(losses))), y=losses, mode="lines"))
        fig.update_xaxes(title_text="optimizer step")
        fig.update_yaxes(title_text="loss (nats per token)")
        parts.append(figure(fig, f"Loss, from {losses[0]:.2f} to {losses[-1]:.2f} nats per token."))
    parts.append(figure(figures.effective_over_time(records), "Effective number of experts of each mixture."))
    parts.append(figure(figures.entropy_over_time(records), "Mean entropy of each router's probabilities."))
    for layer in range(len(summary["layers"])):
        parts.append(figure(figures.load_over_time(records, layer), f"Layer {layer}: share of each expert by step."))
    named = load_counts(path)
    if named is not None:
        parts += _specialization(named, summary["specialization"])
    text = page(f"Routing of {run.get('model', path.name)}", "\n".join(parts))
    out = Path(target) if target is not None else path / "report.html"
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(out) as draft:
        draft.write_text(text, encoding="utf-8")
    return out


def _specialization(named: Named, bits: list[dict[str, float]]) -> list[str]:
    parts = ["<h2>Who works on what</h2>"]
    rows = [(f"{layer}", *(f"{row[key]:.3f}" for key in row)) for layer, row in enumerate(bits)]
    heads = ("layer", "domain (bits)", "by chance", "token (bits)", "by chance")
    parts.append(
        table(
            "What the expert tells about a token: mutual information, and what a text of this size shows "
            "where there is none.",
            heads,
            rows,
        )
    )
    counts = named.counts
    for layer in range(len(counts.domain_loads)):
        fig = figures.domains_by_expert(counts.domain_loads[layer], named.domains)
        parts.append(figure(fig, f"Layer {layer}: how many times as often as by chance an expert works on a domain."))
        fig = figures.co_activation(counts.pairs[layer])
        parts.append(figure(fig, f"Layer {layer}: of an expert's tokens, the share that another one works on too."))
        if named.vocabulary:
            parts.append(_favorites(named, layer))
    return parts


def _favorites(named: Named, layer: int) -> str:
    loads = named.counts.token_loads[layer]
    rows = []
    for expert in range(loads.shape[1]):
        words = [repr(named.vocabulary[token]) for token, _, _ in favorite_tokens(loads, expert, 8, at_least=20)]
        rows.append((str(expert), " ".join(words)))
    return table(f"Layer {layer}: tokens that each expert sees most beyond chance.", ("expert", "tokens"), rows)


def _layer(state: dict[str, Any]) -> dict[str, float]:
    load = torch.tensor(state["load"]).double()
    return {
        "variation": load_variation(load),
        "max_violation": max_violation(load),
        "effective_experts": effective_experts(load),
        "entropy": state["entropy"],
        "dropped": state["dropped"],
    }


def _alarm_list(found: list[dict[str, Any]]) -> str:
    if not found:
        return "<p>No alarm: no collapse, no dead expert, no saturated router, no large logits, few dropped tokens.</p>"
    items = "".join(
        f"<li>Step {a['step']}, layer {a['layer']}: <strong>{escape(a['kind'])}</strong>. "
        f"The layer {escape(a['told'])}</li>"
        for a in found
    )
    return f'<div class="alarm"><h2>Alarms</h2><ul>{items}</ul></div>'


def _layertable(layers: list[dict[str, float]]) -> str:
    rows = [
        (
            str(number),
            f"{row['variation']:.1%}",
            f"{row['max_violation']:.2f}",
            f"{row['effective_experts']:.2f}",
            f"{row['entropy']:.3f}",
            f"{row['dropped']:.1%}",
        )
        for number, row in enumerate(layers)
    ]
    heads = ("layer", "variation of the load", "MaxVio", "effective experts", "entropy (nats)", "dropped")
    return table("The last recorded step.", heads, rows)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
