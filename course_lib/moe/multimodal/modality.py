"""What kind of token stands where: the numbers of the modalities, and their check."""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib.moe.errors import MoEError

MODALITIES = ("image", "text")
IMAGE, TEXT = range(len(MODALITIES))


def check_modality(modality: Tensor, tokens: int) -> None:
    """Raise `MoEError` unless `modality` is (tokens,) of int64, each the number of a modality."""
    if modality.dtype != torch.int64 or tuple(modality.shape) != (tokens,):
        given = f"{tuple(modality.shape)} of {modality.dtype}"
        raise MoEError.of("modality", given, f"must be ({tokens},) of torch.int64", "give each token its number")
    strangers = sorted(set(modality.tolist()) - set(range(len(MODALITIES))))
    if strangers:
        known = ", ".join(f"{number} for {name}" for number, name in enumerate(MODALITIES))
        raise MoEError.of("modality", strangers[0], "is not known", f"use {known}")


def modality_number(name: str) -> int:
    """The number of a modality.

    Raises:
        MoEError: for an unknown name.
    """
    if name not in MODALITIES:
        raise MoEError.of("modality", name, "is not known", f"use one of {', '.join(MODALITIES)}")
    return MODALITIES.index(name)
