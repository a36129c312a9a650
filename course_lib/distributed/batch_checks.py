"""Whether a batch is the one that a config describes: what doesn't match would be cut short without a word."""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib.distributed.config import TrainConfig
from course_lib.distributed.errors import TrainingSetupError
from course_lib.models import Batch

IGNORED = -100  # a target that PyTorch's cross-entropy leaves out


def check_batch(batch: object, config: TrainConfig) -> None:
    """Raise `TrainingSetupError` unless `batch` is a global batch of this run.

    Every rank sees the whole of it and refuses it alike. Token numbers are looked at where they lie on the CPU; a look
    at an accelerator's memory would make it wait.

    Args:
        batch: tokens and targets (global_batch, sequence_length) of int64, each below the vocabulary's size.
        config: of the run.

    Source: torch.nn.functional.cross_entropy, for its `ignore_index` among the targets.
    """
    if not isinstance(batch, Batch):
        limit = "is no Batch"
        raise TrainingSetupError.of("batch", type(batch).__name__, limit, "give Batch(tokens=..., targets=...)")
    wanted = (config.global_batch, config.sequence_length)
    # rows that count in the batch's length without being here: `ReadAhead` reads only this rank's
    elsewhere = len(batch) - len(batch.tokens) if batch.tokens.shape else 0
    for name, values in (("tokens", batch.tokens), ("targets", batch.targets)):
        shape = tuple(values.shape)
        if shape:
            shape = (shape[0] + elsewhere, *shape[1:])
        if shape != wanted:
            raise TrainingSetupError.of(
                f"{name}.shape",
                shape,
                f"is not (global_batch, sequence_length) = {wanted}",
                "hand the global batch to every rank, which takes its own rows, or change the config",
            )
        if values.dtype != torch.int64:
            raise TrainingSetupError.of(f"{name}.dtype", values.dtype, "must be torch.int64", f"use {name}.long()")
    _check_range("tokens", batch.tokens, config.model.vocab_size, 0)
    _check_range("targets", batch.targets, config.model.vocab_size, IGNORED)


def _check_range(name: str, values: Tensor, vocab_size: int, least: int) -> None:
    if values.device.type != "cpu":
        return
    low, high = (int(bound) for bound in values.aminmax())
    if low < least or high >= vocab_size:
        raise TrainingSetupError.of(
            name,
            low if low < least else high,
            f"is no token of a vocabulary of {vocab_size} (0 to {vocab_size - 1})",
            "use the tokenizer that belongs to the model, or raise vocab_size",
        )
