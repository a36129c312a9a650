"""What every engine is to the train loop: a model, an optimizer, and how gradients of a global batch come about.

An engine is built by one plain function per kind (`single`, `ddp`, `fsdp`, ...) which applies its parallelism to the
model and fills these fields; the step itself is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.stateful import Stateful

from course_lib.distributed.batch_checks import check_batch
from course_lib.distributed.config import TrainConfig
from course_lib.distributed.share import Share
from course_lib.models import Batch


@dataclass
class Engine:
    """One rank's end of one way to train.

    Args:
        name: of the kind.
        config: of the run.
        model: this rank's part of it, wrapped as the kind needs.
        optimizer: over the parameters that this rank holds.
        share: which rows of each global batch are this rank's.
        forward_backward: this rank's rows → their mean loss, a detached scalar. Leaves in every parameter's `grad` the
            gradient of the mean loss of the *global* batch.
        mean: a detached tensor → its mean over the data-parallel ranks; every rank must call it.
        full_state: the whole model's weights by `GPT`'s names, unsharded, on the CPU; every rank must call it.
        clip: limits the norm of all gradients, also of those that other ranks hold, and returns the norm before.
        close: ends what the kind has opened.
        memories: what else a checkpoint must hold, by name, such as the errors that a compression has yet to send.
    """

    name: str
    config: TrainConfig
    model: nn.Module
    optimizer: torch.optim.Optimizer
    forward_backward: Callable[[Batch], Tensor]
    full_state: Callable[[], dict[str, Tensor]]
    share: Share = field(default_factory=Share)
    mean: Callable[[Tensor], Tensor] = lambda value: value
    clip: Callable[[float], Tensor] | None = None
    close: Callable[[], None] = lambda: None
    memories: Mapping[str, Stateful] = field(default_factory=dict)

    def step(self, batch: Batch) -> Tensor:
        """One optimizer step on one global batch.

        Args:
            batch: the global batch, the same on every rank: tokens and targets (global_batch, seq).

        Returns:
            Mean loss of this rank's rows before the update, a detached scalar.

        Raises:
            TrainingSetupError: for a batch of another shape than the config's, or tokens outside of the vocabulary.
        """
        check_batch(batch, self.config)
        loss = self.forward_backward(self.share.of(batch))
        if self.config.clip_norm is not None:
            (self.clip or self._clip_local)(self.config.clip_norm)
        self.optimizer.step()
        self.config.after_step(self.model, self.mean)
        self.optimizer.zero_grad()  # to None, PyTorch's default; Horovod's takes no argument
        return loss

    def _clip_local(self, limit: float) -> Tensor:
        return nn.utils.clip_grad_norm_(self.model.parameters(), limit)
