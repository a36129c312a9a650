"""Gradient accumulation: several forward and backward passes before one exchange of gradients."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from course_lib.distributed.config import Mean, TrainConfig
from course_lib.distributed.share import Share
from course_lib.models import Batch, language_model_loss

Sync = Callable[[bool], AbstractContextManager[object]]
Loss = Callable[[Tensor, Tensor], Tensor]


def accumulating(
    model: nn.Module,
    config: TrainConfig,
    share: Share,
    device: torch.device,
    *,
    sync: Sync = lambda last: nullcontext(),
    autocast: bool = True,
    loss_of: Loss = language_model_loss,
    mean: Mean = lambda value: value,
) -> Callable[[Batch], Tensor]:
    """The `forward_backward` of an engine that runs whole models: microbatch by microbatch, gradients summed.

    Args:
        model: called with tokens (microbatch, seq), gives logits.
        config: of the run.
        share: of this rank.
        device: where the model lies.
        sync: last microbatch or not → a context in which its forward and backward run; the place to leave out the
            exchange of gradients until the last.
        autocast: apply config.precision here; False where the kind does so itself.
        mean: over the data-parallel ranks, for losses that count all their tokens.
        loss_of: logits, targets → their mean loss, a plain scalar; another one where ranks share the logits.

    Returns:
        The rank's rows → mean loss, detached.

    Source: Li et al. 2020 (arXiv:2006.15704) section 3.2.4, for leaving out the exchange.
    """
    half = autocast and config.precision == "bf16"

    def forward_backward(batch: Batch) -> Tensor:
        pieces = list(share.microbatches(batch, config.microbatch))
        total = torch.zeros((), device=device)  # scalar
        for number, piece in enumerate(pieces, start=1):
            with sync(number == len(pieces)):
                with torch.autocast(device.type, torch.bfloat16, enabled=half):
                    logits = model(piece.tokens.to(device, non_blocking=True))  # (microbatch, seq, vocab)
                loss = loss_of(logits, piece.targets.to(device, non_blocking=True)) / len(pieces)
                extra = config.extra_loss(model, mean)
                whole = loss if extra is None else loss + extra / len(pieces)
                whole.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    return forward_backward
