"""Adapters onto a model, off it, and one in use at a time."""

from __future__ import annotations

import torch
from torch import nn

from course_lib.moe.errors import MoEError
from course_lib.moe.lora.adapters import check_name
from course_lib.moe.lora.config import LoRAConfig
from course_lib.moe.lora.report import TrainableReport, trainable_report
from course_lib.moe.lora.sites import blocks, close, open_matrix, sites


def apply_lora(model: nn.Module, config: LoRAConfig | None = None, *, name: str = "default") -> TrainableReport:
    """Put adapters beside a model's matrices; from then on only they train.

    Fine-tuning in full:

        model = load_checkpoint("olmoe")
        print(apply_lora(model, LoRAConfig(rank=8)))
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
        for batch in batches:
            language_model_loss(model(batch.tokens), batch.targets).backward()
            optimizer.step()
            optimizer.zero_grad()
        save_adapter(model, "my-adapter")

    Args:
        model: a `MoEModel`, or a dense `GPT` for the target "attention"; changed in place.
        config: rank, scale and targets.
        name: of the adapter; a model may have several, one of them in use.

    Returns:
        Which parameters train now. Print it: an adapter that skips the experts trains, too, only worse.

    Raises:
        MoEError: for a name that is in use, a target that the model does not have, or a merged adapter.
    """
    config = config or LoRAConfig()
    check_name(name)
    _check_not_merged(model)
    if name in adapter_names(model):
        remedy = "give another name=, or call remove_lora(model) first"
        raise MoEError.of("name", name, "has been applied to this model already", remedy)
    generator = torch.Generator().manual_seed(config.seed)
    found: set[str] = set()
    try:
        for _, block in blocks(model):
            for matrix in config.matrices:
                for adapters, weight, _ in open_matrix(block, matrix):
                    adapters.add(name, config, weight, generator)
                    found.add(matrix)
        absent = [matrix for matrix in config.matrices if matrix not in found]
        if absent:
            raise MoEError.of("targets", absent, "are in no block of this model", "leave them out")
    except MoEError:
        _forget(model, name)
        raise
    use_adapter(model, name)
    return trainable_report(model)


def use_adapter(model: nn.Module, name: str | None) -> None:
    """Compute, and train, with one of a model's adapters, or with none.

    Args:
        model: with adapters.
        name: of the one; None for the base model, of which then nothing trains.

    Raises:
        MoEError: for a name that the model does not have, or while an adapter is merged.
    """
    _check_not_merged(model)
    known = adapter_names(model)
    if name is not None and name not in known:
        raise MoEError.of("name", name, "is no adapter of this model", f"use one of {', '.join(known) or 'none'}")
    model.requires_grad_(False)
    for site in sites(model):
        site.adapters.active = name if name in site.adapters.configs else None
        for factors in (site.adapters.a, site.adapters.b):
            for key, parameter in factors.items():
                parameter.requires_grad_(key == name)


def remove_lora(model: nn.Module, name: str | None = None) -> None:
    """Take adapters off; with the last one gone, the model is the plain one again, and all of it trains.

    What `merge_lora` has added to the weights stays in them.

    Args:
        model: with adapters.
        name: of the one; None for all.

    Raises:
        MoEError: for a name that the model does not have, or one that is merged beside others.
    """
    known = adapter_names(model)
    if name is not None and name not in known:
        raise MoEError.of("name", name, "is no adapter of this model", f"use one of {', '.join(known) or 'none'}")
    if name is not None and set(known) != {name}:
        _check_not_merged(model)
    for each in known if name is None else [name]:
        _forget(model, each)
    if not adapter_names(model):
        model.requires_grad_(True)


def adapter_names(model: nn.Module) -> list[str]:
    """The names of a model's adapters, in the order in which they came."""
    return list(dict.fromkeys(name for site in sites(model) for name in site.adapters.configs))


def _forget(model: nn.Module, name: str) -> None:
    for site in sites(model):
        if name in site.adapters.configs:
            site.adapters.base = None
            site.adapters.drop(name)
    for _, block in blocks(model):
        close(block)


def _check_not_merged(model: nn.Module) -> None:
    merged = sorted({str(site.adapters.active) for site in sites(model) if site.adapters.base is not None})
    if merged:
        raise MoEError.of("model", merged, "is merged into its weights", "call unmerge_lora(model) first")
