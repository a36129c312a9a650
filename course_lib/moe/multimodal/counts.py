"""Which experts worked on patches and which on words."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_lib.moe.errors import MoEError, check_count
from course_lib.moe.evaluate import evaluating
from course_lib.moe.model import moe_layers
from course_lib.moe.multimodal.examples import ImageTextBatch
from course_lib.moe.multimodal.modality import MODALITIES, check_modality


@dataclass(frozen=True, eq=False)
class ModalityCounts:
    """Who worked on what.

    Args:
        loads: (layers, modalities, experts) of int64, tokens of each modality that each expert worked on.
        probabilities: (layers, modalities, experts) of fp64, mean of the router's probabilities.
        local: (layers, modalities) of fp64, mean entropy of a token's probabilities, in nats.
        choices: (layers, tokens, k) of int64, the experts of each token.
        modality: (tokens,) of int64.
    """

    loads: Tensor
    probabilities: Tensor
    local: Tensor
    choices: Tensor
    modality: Tensor


def routing_by_modality(model: nn.Module, rows: ImageTextBatch, *, batch: int = 256) -> ModalityCounts:
    """Count the routing of patches and words, without training.

    Args:
        model: an `ImageTextModel` with mixtures of one size.
        rows: images and questions.
        batch: rows that go through the model at once.

    Raises:
        MoEError: for a dense model, or a number out of range.
    """
    check_count("batch", batch)
    layers = moe_layers(model)
    if not layers:
        raise MoEError.of("model", type(model).__name__, "has no experts", "give a mixture")
    device = next(model.parameters()).device
    chosen: list[Tensor] = []
    told: list[Tensor] = []
    kept: list[Tensor] = []
    with evaluating(model):
        for start in range(0, len(rows), batch):
            piece = rows.rows(start, start + batch)
            model(piece.tokens.to(device), None if piece.pixels is None else piece.pixels.to(device))
            routings = [layer.last_routing for layer in layers if layer.last_routing is not None]
            chosen.append(torch.stack([routing.experts.cpu() for routing in routings]))
            kept.append(torch.stack([routing.probabilities.cpu().double() for routing in routings]))
            assert isinstance(model.modality, Tensor)
            told.append(model.modality.cpu())
    choices, probabilities, modality = torch.cat(chosen, 1), torch.cat(kept, 1), torch.cat(told)
    return ModalityCounts(
        torch.stack([table_of(layer, modality, probabilities.shape[2]) for layer in choices]),
        torch.stack([probabilities[:, modality == m].mean(1) for m in range(len(MODALITIES))], 1),
        torch.stack(
            [torch.special.entr(probabilities[:, modality == m]).sum(2).mean(1) for m in range(len(MODALITIES))], 1
        ),
        choices,
        modality,
    )


def table_of(choices: Tensor, modality: Tensor, experts: int) -> Tensor:
    """How often each expert works on each modality.

    Args:
        choices: (tokens, k) of int64; -1 where a token has none.
        modality: (tokens,) of int64.
        experts: of the layer.

    Returns:
        (modalities, experts) of int64.

    Raises:
        MoEError: for an unknown modality, or not one for each token.
    """
    check_modality(modality, len(choices))
    counted = choices >= 0
    place = (modality[:, None] * experts + choices)[counted]
    return place.bincount(minlength=len(MODALITIES) * experts).reshape(len(MODALITIES), experts)
