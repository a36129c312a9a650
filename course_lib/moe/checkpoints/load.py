"""From a folder in Hugging Face's layout to our model, tensor by tensor."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.moe.checkpoints.architectures import architecture
from course_lib.moe.checkpoints.files import DTYPES, Stored, read_into, stored_tensors
from course_lib.moe.checkpoints.hf_config import config_from_hf
from course_lib.moe.checkpoints.names import ExpertFiles, Piece, pieces, tied_output
from course_lib.moe.errors import MoEError
from course_lib.moe.model import MoEModel

CONFIG = "config.json"
NOT_WEIGHTS = "rotary_emb.inv_freq"  # files of older versions hold this table, which follows from the shape


def load_checkpoint(
    folder: str | Path, *, dtype: torch.dtype | None = None, device: str | torch.device = "cpu", **options: Any
) -> MoEModel:
    """Read a Mixtral, OLMoE or Qwen3-MoE checkpoint into our model.

    Both layouts of experts are read: one tensor per expert and matrix, or all experts' in one. Names, shapes and types
    of all tensors are checked before the first is read; then each is copied in parts straight to its place, so that
    no more memory is used than the model itself and some 16 MiB.

    Args:
        folder: with `config.json` and `model.safetensors`, or several files and their index.
        dtype: of the parameters; the files' own, bit for bit, when left out.
        device: where the parameters go.
        **options: of `MoEConfig`, such as execution="loop" or balance_loss=0.0.

    Returns:
        The model, in training mode.

    Raises:
        MoEError: for another family of models, missing or extra tensors (all listed), wrong shapes, a file that is
            missing or cut off, or a folder without safetensors.
    """
    folder = Path(folder)
    config = read_config(folder)
    shape, moe = config_from_hf(config, **options)
    if moe.router != "topk":
        raise MoEError.of("router", moe.router, "has other tensors than these checkpoints", "load with 'topk'")
    family = architecture(config["model_type"])
    with torch.device("meta"):
        model = MoEModel(shape, moe)
    stored = stored_tensors(folder)
    wanted = list(pieces(model, family, _layout(stored)))
    repeated = tied_output(model)
    _check(wanted, stored, optional={repeated} if repeated else set())
    _give_storage(model, wanted, stored, dtype, torch.device(device))
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        read_into({piece.name: piece.of(parameters[piece.parameter]) for piece in wanted}, stored)
        if repeated in stored and model.tok_embeddings is not None:
            _check_repeated(model.tok_embeddings.weight, repeated, stored)  # type: ignore[arg-type]
    return model


def read_config(folder: Path) -> dict[str, Any]:
    """The content of a folder's `config.json`.

    Raises:
        MoEError: when it can't be read.
    """
    try:
        config = json.loads((folder / CONFIG).read_text())
        if not isinstance(config, dict):
            raise ValueError("no JSON object")
    except (OSError, ValueError) as error:
        raise MoEError.of("folder", str(folder), f"has no {CONFIG} to read ({error})", "give a checkpoint's") from error
    return config


def _layout(stored: Iterable[str]) -> ExpertFiles:
    return "fused" if any(name.endswith(".experts.gate_up_proj") for name in stored) else "per_expert"


def _check(wanted: list[Piece], stored: dict[str, Stored], optional: set[str]) -> None:
    """Raise `MoEError`, with everything that is wrong, unless the files hold just the tensors of the model."""
    by_name = {piece.name: piece for piece in wanted}
    missing = [name for name in by_name if name not in stored]
    extra = [name for name in stored if name not in by_name and not name.endswith(NOT_WEIGHTS) and name not in optional]
    both = [(name, by_name[name].shape, stored[name]) for name in by_name if name in stored]
    shapes = [f"{name} is {found.shape}, not {shape}" for name, shape, found in both if found.shape != shape]
    types = [f"{name} is of type {found.code}" for name, _, found in both if found.code not in DTYPES]
    told = [
        f"{len(found)} {what}: {', '.join(sorted(found))}"
        for what, found in (
            ("missing", missing),
            ("extra", extra),
            ("of another shape than config.json says", shapes),
            (f"of a type that is none of {', '.join(DTYPES)}", types),
        )
        if found
    ]
    if told:
        remedy = "take config.json and weights of one and the same unquantized model"
        raise MoEError(f"The checkpoint's tensors do not fit its config.json; {'; '.join(told)}. Remedy: {remedy}.")


def _give_storage(
    model: MoEModel, wanted: list[Piece], stored: dict[str, Stored], dtype: torch.dtype | None, device: torch.device
) -> None:
    """Replace each parameter of a model on the meta device by one with memory, of its tensors' type."""
    types: dict[str, dict[str, torch.dtype]] = {}
    for piece in wanted:
        types.setdefault(piece.parameter, {})[piece.name] = DTYPES[stored[piece.name].code]
    for name, parameter in list(model.named_parameters()):
        found = set(types[name].values())
        if dtype is None and len(found) > 1:
            told = {tensor: str(kind) for tensor, kind in types[name].items()}
            raise MoEError.of(name, told, "must be of one type, being one parameter here", "give dtype=")
        empty = torch.empty(parameter.shape, dtype=dtype or found.pop(), device=device)
        _set(model, name, nn.Parameter(empty))
    model.tie()


def _set(model: nn.Module, name: str, parameter: nn.Parameter) -> None:
    module, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(module), leaf, parameter)


def _check_repeated(embedding: Tensor, name: str, stored: dict[str, Stored]) -> None:
    """A file may repeat a tied output matrix; then it must be the embedding."""
    again = torch.empty_like(embedding)
    read_into({name: again}, stored)
    if not torch.equal(again, embedding):
        limit = "differs from the embedding, although config.json says that they are one"
        raise MoEError.of(name, tuple(again.shape), limit, 'set "tie_word_embeddings" to false')
