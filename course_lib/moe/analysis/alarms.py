"""Alarms: what in a run's records a person should be woken for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from course_lib.moe.analysis.measures import effective_experts


@dataclass(frozen=True)
class Limits:
    """When an alarm is given.

    Args:
        effective: a layer uses fewer than this share of its experts' effective number: collapse.
        dead_steps: an expert got no token in so many records in a row.
        saturated: the router's mean entropy is below this share of log(experts): it can hardly change its mind.
        largest_logit: mean largest logit of a token beyond which rounding decides.
        dropped: share of pairs without room.
        patience: records in a row that must be beyond a limit, so that one odd batch wakes nobody.
    """

    effective: float = 0.5
    dead_steps: int = 20
    saturated: float = 0.05
    largest_logit: float = 50.0
    dropped: float = 0.1
    patience: int = 5


@dataclass(frozen=True)
class Alarm:
    """One thing that went wrong, from its first record on.

    Args:
        step: of the record with which the limit's patience ran out.
        layer: number of the mixture, from 0 at the input.
        kind: "collapse", "dead expert", "saturated router", "large logits" or "dropped tokens".
        told: value, limit and what to do.
    """

    step: int
    layer: int
    kind: str
    told: str


def alarms(records: Sequence[dict[str, Any]], limits: Limits | None = None) -> list[Alarm]:
    """Every alarm of a run, in the order of its steps; each kind once for a layer (once for an expert, when dead).

    Args:
        records: of `read_records`.
        limits: the defaults when left out.
    """
    limits = limits or Limits()
    found: list[Alarm] = []
    running: dict[tuple[int, str], int] = {}
    given: set[tuple[int, str]] = set()
    for record in records:
        for layer, state in enumerate(record["layers"]):
            for kind, key, bad, told, patience in _checks(state, limits):
                at = (layer, key)
                running[at] = running.get(at, 0) + 1 if bad else 0
                if running[at] >= patience and at not in given:
                    given.add(at)
                    found.append(Alarm(record["step"], layer, kind, told))
    return found


def _checks(state: dict[str, Any], limits: Limits) -> list[tuple[str, str, bool, str, int]]:
    load, experts = state["load"], len(state["load"])
    used = effective_experts(torch.tensor(load, dtype=torch.float64))
    entropy = state["entropy"] / math.log(experts) if experts > 1 else 1.0
    floor = limits.effective * experts
    checks = [
        (
            "collapse",
            "collapse",
            used < floor,
            f"uses {used:.1f} effective experts of {experts}, fewer than {floor:.1f}. Remedy: raise balance_loss, or "
            "use router='sigmoid_bias'.",
            limits.patience,
        ),
        (
            "saturated router",
            "saturated",
            not entropy >= limits.saturated,  # also for NaN
            f"has a router entropy of {entropy:.1%} of its maximum, below {limits.saturated:.0%}. Remedy: add "
            "z_loss=1e-3, or lower the learning rate.",
            limits.patience,
        ),
        (
            "large logits",
            "logits",
            not state["largest_logit"] <= limits.largest_logit,
            f"has logits of {state['largest_logit']:.0f}, beyond {limits.largest_logit:.0f}. Remedy: add z_loss=1e-3.",
            limits.patience,
        ),
        (
            "dropped tokens",
            "dropped",
            state["dropped"] > limits.dropped,
            f"drops {state['dropped']:.0%} of its pairs, more than {limits.dropped:.0%}. Remedy: raise "
            "capacity_factor, or balance better.",
            limits.patience,
        ),
    ]
    for expert, tokens in enumerate(load):
        told = f"gave expert {expert} no token in {limits.dead_steps} records. Remedy: raise balance_loss."
        checks.append(("dead expert", f"dead {expert}", tokens == 0, told, limits.dead_steps))
    return checks
