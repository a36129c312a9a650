"""Packed models on disk: one safetensors file whose header says how to build the model again."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from course_lib.catalog import ModelConfig
from course_lib.models import GPT
from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError
from course_lib.moe.experts import Experts
from course_lib.moe.inference.quantization.modules import PackedExperts, PackedLinear
from course_lib.moe.inference.quantization.packed import PackedMatrix
from course_lib.moe.model import MoEModel
from course_lib.runtime import whole_file

KEY = "course_lib.quantized"


def save_quantized(model: GPT, path: str | Path) -> None:
    """Write a quantized model, weights that are not packed included.

    Args:
        model: what `quantize` returned.
        path: of the file.

    Raises:
        MoEError: for a model in which nothing is packed.
    """
    packed = {n: [m.rows, m.columns, m.scheme, m.group_size] for n, m in _packed_matrices(model).items()}
    if not packed:
        raise MoEError.of("model", type(model).__name__, "has no packed weights", "call quantize(model) first")
    about: dict[str, Any] = {
        "model": _plain(model.config),
        "moe": dataclasses.asdict(model.moe) if isinstance(model, MoEModel) else None,
        "packed": packed,
        "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
    }
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items() if not _tied(model, name)}
    with whole_file(Path(path)) as draft:
        save_file(state, draft, metadata={KEY: json.dumps(about)})


def load_quantized(path: str | Path) -> GPT:
    """Read a model that `save_quantized` wrote; no unpacked weight is made on the way.

    Raises:
        MoEError: for a file that is missing, cut off, of another kind, or whose tensors don't fit its header.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (OSError, SafetensorError) as error:
        raise MoEError.of("path", str(path), f"can't be read ({error})", "write it again with save_quantized") from None
    if KEY not in metadata:
        raise MoEError.of("path", str(path), "holds no quantized model", "write it with save_quantized")
    about = json.loads(metadata[KEY])
    config = ModelConfig(**about["model"])
    with torch.device("meta"):
        model = MoEModel(config, MoEConfig(**about["moe"])) if about["moe"] else GPT(config)
        model = model.to(getattr(torch, about["dtype"]))
        for name in sorted(about["packed"]):
            _place(model, name, about["packed"])
    missing, unexpected = model.load_state_dict(state, strict=False, assign=True)
    missing = [name for name in missing if not _tied(model, name)]
    if missing or unexpected:
        raise MoEError.of(
            "tensors", str(path), f"lack {missing} or have too many: {unexpected}", "write it again with save_quantized"
        )
    if isinstance(model.output, nn.Linear):
        model.tie()
    return model.eval()


def _packed_matrices(model: nn.Module) -> dict[str, PackedMatrix]:
    return {name: module for name, module in model.named_modules() if isinstance(module, PackedMatrix)}


def _plain(config: ModelConfig) -> dict[str, Any]:
    values = dataclasses.asdict(config)
    return {name: value for name, value in values.items() if value is not None and name not in ("date", "source")}


def _tied(model: GPT, name: str) -> bool:
    return name == "output.weight" and model.config.tied_embeddings


def _place(model: GPT, name: str, packed: dict[str, list[Any]]) -> None:
    """Put an empty packed module where the file has one; `name` ends in .packed, .up or .down."""
    holder, _, kind = name.rpartition(".")
    parent_name, _, child = holder.rpartition(".")
    parent, old = model.get_submodule(parent_name), model.get_submodule(holder)
    if kind == "packed":
        bias = old.bias if isinstance(old, nn.Linear) else None
        setattr(parent, child, PackedLinear(PackedMatrix(*packed[name]), bias))
    elif isinstance(old, Experts):
        up, down = (PackedMatrix(*packed[f"{holder}.{part}"]) for part in ("up", "down"))
        setattr(parent, child, PackedExperts(old.config, up, down, old.up.dtype))
