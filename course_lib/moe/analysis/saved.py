"""Routing counts as a file beside a run's records, so that a report needs no model."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from course_lib.moe.analysis.collect import RoutingCounts
from course_lib.moe.errors import MoEError
from course_lib.runtime import whole_file

COUNTS_FILE = "routing_counts.safetensors"


@dataclasses.dataclass(frozen=True, eq=False)
class Named:
    """Routing counts and the words for them.

    Args:
        counts: of `collect`.
        domains: names of the domains.
        vocabulary: text of each token id; empty when it is not known.
    """

    counts: RoutingCounts
    domains: list[str]
    vocabulary: list[str]


def save_counts(folder: str | Path, counts: RoutingCounts, domains: list[str], vocabulary: list[str]) -> Path:
    """Write counts into a run's folder, whole or not at all, in place of older ones.

    Args:
        folder: of the run.
        counts: of `collect`.
        domains: names of the domains.
        vocabulary: text of each token id; [] when it is not known.

    Returns:
        The file.

    Raises:
        MoEError: when the names are not as many as the counts say.
    """
    if len(domains) != counts.domain_loads.shape[1]:
        raise MoEError.of("domains", domains, f"must name {counts.domain_loads.shape[1]} domains", "use corpus.domains")
    if vocabulary and len(vocabulary) != counts.token_loads.shape[1]:
        raise MoEError.of(
            "vocabulary", len(vocabulary), f"must have {counts.token_loads.shape[1]} entries", "give one for each id"
        )
    path = Path(folder) / COUNTS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {f.name: getattr(counts, f.name).contiguous() for f in dataclasses.fields(counts) if f.name != "tokens"}
    words = {"tokens": str(counts.tokens), "domains": json.dumps(domains), "vocabulary": json.dumps(vocabulary)}
    with whole_file(path) as draft:
        save_file(tensors, draft, metadata=words)
    return path


def load_counts(folder: str | Path) -> Named | None:
    """The counts of a run; None when it has none.

    Raises:
        MoEError: for a file that is none of `save_counts`.
    """
    path = Path(folder) / COUNTS_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            words = file.metadata()
            tensors: dict[str, torch.Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        counts = RoutingCounts(tokens=int(words["tokens"]), **tensors)
        return Named(counts, json.loads(words["domains"]), json.loads(words["vocabulary"]))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise MoEError.of(
            "file", str(path), f"holds no routing counts ({error})", "write it with save_counts"
        ) from error
