"""The engine that hands images to a model beside its tokens; otherwise it is "single"."""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib.distributed import Engine, Share, TrainConfig, TrainingSetupError, build_optimizer, finish_blocks
from course_lib.models import Batch, language_model_loss
from course_lib.moe.multimodal.config import DenseImageTextConfig, ImageTextConfig
from course_lib.moe.multimodal.examples import ImageTextBatch
from course_lib.runtime import Hardware


def image_text_engine(config: TrainConfig, machine: Hardware) -> Engine:
    """Train one process's model on images and text; to be given to `build_engine`.

    Args:
        config: an `ImageTextConfig` or a `DenseImageTextConfig`; its batches are `ImageTextBatch`es.
        machine: the hardware.

    Raises:
        TrainingSetupError: for another config, or a batch that does not divide into microbatches.
    """
    if not isinstance(config, ImageTextConfig | DenseImageTextConfig):
        raise TrainingSetupError.of("config", type(config).__name__, "builds no model that sees", "use ImageTextConfig")
    share = Share()
    share.check(config)
    device = machine.device(0)
    model = config.build_model().to(device)
    finish_blocks(config, model)

    def forward_backward(batch: Batch) -> Tensor:
        if not isinstance(batch, ImageTextBatch):
            raise TrainingSetupError.of("batch", type(batch).__name__, "has no images", "give an ImageTextBatch")
        pieces = list(share.microbatches(batch, config.microbatch))
        total = torch.zeros((), device=device)  # scalar
        for piece in pieces:
            assert isinstance(piece, ImageTextBatch)
            pixels = None if piece.pixels is None else piece.pixels.to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
                logits = model(piece.tokens.to(device), pixels)  # (microbatch, seq, vocab)
            loss = language_model_loss(logits, piece.targets.to(device)) / len(pieces)
            extra = config.extra_loss(model, lambda value: value)
            whole = loss if extra is None else loss + extra / len(pieces)
            whole.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    return Engine(
        name="image_text",
        config=config,
        model=model,
        optimizer=build_optimizer(config, model.parameters()),
        forward_backward=forward_backward,
        full_state=lambda: {name: value.detach().cpu().clone() for name, value in model.state_dict().items()},
    )
