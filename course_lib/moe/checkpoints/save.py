"""From our model to a folder in Hugging Face's layout: whole or not there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from course_lib.moe.checkpoints.architectures import architecture
from course_lib.moe.checkpoints.drafts import check_new, whole_folder
from course_lib.moe.checkpoints.files import CODES, write_shards
from course_lib.moe.checkpoints.hf_config import config_to_hf
from course_lib.moe.checkpoints.load import CONFIG
from course_lib.moe.checkpoints.names import ExpertFiles, pieces
from course_lib.moe.errors import MoEError, check_count
from course_lib.moe.model import MoEModel


def save_checkpoint(
    model: MoEModel,
    folder: str | Path,
    *,
    layout: str = "mixtral",
    experts: ExpertFiles = "per_expert",
    max_shard_bytes: int = 5_000_000_000,
    more_config: Mapping[str, Any] | None = None,
) -> Path:
    """Write a model so that transformers' `from_pretrained` loads it, bit for bit.

    Everything is written to a hidden folder beside it, which gets its name by one rename at the end.

    Args:
        model: the whole model, on this rank.
        folder: to be made.
        layout: "mixtral", "olmoe" or "qwen3_moe"; the shape must be one of the family's.
        experts: "per_expert" writes one tensor per expert and matrix, as the released weights have it; "fused" all
            experts' in one, as transformers 5 holds them.
        max_shard_bytes: largest file, unless one tensor alone is larger.
        more_config: further keys of `config.json`, such as eos_token_id.

    Returns:
        The folder.

    Raises:
        MoEError: for a folder that is there already, a family that can't express the model, adapters that are still
            applied, or parameters that don't lie here as a whole.
    """
    folder = Path(folder)
    family = architecture(layout)
    if experts not in ("per_expert", "fused"):
        raise MoEError.of("experts", experts, "is not known", "use 'per_expert' or 'fused'")
    check_count("max_shard_bytes", max_shard_bytes)
    check_new(folder)
    config = config_to_hf(model.config, model.moe, layout)
    parameters = dict(model.named_parameters())
    config["dtype"] = _check_parameters(model, parameters)
    for key, value in (more_config or {}).items():
        if config.get(key, value) not in (value, None):
            raise MoEError.of(f"more_config[{key!r}]", value, f"is {config[key]!r} in this model", "leave it out")
        config[key] = value
    text = json.dumps(config, indent=2) + "\n"
    tensors = [(piece.name, piece.of(parameters[piece.parameter])) for piece in pieces(model, family, experts)]
    with whole_folder(folder) as draft:
        write_shards(draft, tensors, max_shard_bytes)
        (draft / CONFIG).write_text(text)
    return folder


def _check_parameters(model: MoEModel, parameters: Mapping[str, Tensor]) -> str:
    """Raise `MoEError` unless these are just the parameters of the shape; tell the type of most of their bytes."""
    with torch.device("meta"):
        expected = {name: value.shape for name, value in MoEModel(model.config, model.moe).named_parameters()}
    found = {name: value.shape for name, value in parameters.items()}
    if found.keys() != expected.keys():
        told = sorted(found.keys() ^ expected.keys())
        remedy = "with LoRA, call merge_lora(model) and remove_lora(model) first; save adapters by save_adapter"
        raise MoEError.of("model", told, "are parameters that the layout has no place for, or misses", remedy)
    pairs = [(name, tuple(found[name]), tuple(expected[name])) for name in found]
    wrong = [f"{name} is {shape}, not {other}" for name, shape, other in pairs if shape != other]
    wrong += [f"{name} has no storage" for name, value in parameters.items() if value.is_meta]
    wrong += [f"{name} is split over ranks" for name, value in parameters.items() if hasattr(value, "full_tensor")]
    if wrong:
        raise MoEError.of(
            "model", wrong, "must be whole on this rank", "gather it first, as an engine's full_state does"
        )
    types = {name: value.dtype for name, value in parameters.items() if value.dtype not in CODES}
    if types:
        raise MoEError.of("model", types, f"must be of {', '.join(map(str, CODES))}", "convert it: model.bfloat16()")
    sizes = Counter[torch.dtype]()
    for value in parameters.values():
        sizes[value.dtype] += value.numel()
    return str(sizes.most_common(1)[0][0]).removeprefix("torch.")
