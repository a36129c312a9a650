"""What to train and how, the same for every engine: one frozen dataclass that is handed down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, nn

from course_lib.catalog import ModelConfig
from course_lib.distributed.errors import (
    TrainingSetupError,
    check_count,
    check_decay_rate,
    check_not_negative,
    check_positive,
)
from course_lib.models import GPT, tiny_config

Mean = Callable[[Tensor], Tensor]
Precision = Literal["fp32", "bf16"]
OptimizerName = Literal["adamw", "sgd", "lamb", "lion"]
Recomputation = Literal["none", "selective", "full"]
CHOICES: dict[str, tuple[str, ...]] = {
    "precision": ("fp32", "bf16"),
    "optimizer": ("adamw", "sgd", "lamb", "lion"),
    "recomputation": ("none", "selective", "full"),
}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A training run, whatever engine and however many ranks carry it out.

    Args:
        model: the shape.
        sequence_length: tokens per sequence.
        global_batch: sequences per optimizer step, all ranks together.
        microbatch: sequences that a rank takes through the model at once; 0 for its whole share, more forward passes
            per step (gradient accumulation) the smaller it is.
        seed: of the weights and of the data.
        optimizer: "adamw", "sgd" (with momentum), "lamb" or "lion".
        learning_rate, weight_decay, momentum: the optimizer's; momentum for "sgd" only.
        clip_norm: largest L2 norm of all gradients together; None leaves them alone.
        precision: "fp32", or "bf16" for matmuls in bf16 over fp32 weights.
        recomputation: activation checkpointing: "none", "selective" (attention cores) or "full" (whole blocks).
        compile: put each block through torch.compile.

    Raises:
        TrainingSetupError: for a value outside of its domain.
    """

    model: ModelConfig = field(default_factory=tiny_config)
    sequence_length: int = 64
    global_batch: int = 8
    microbatch: int = 0
    seed: int = 0
    optimizer: OptimizerName = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.9
    clip_norm: float | None = None
    precision: Precision = "fp32"
    recomputation: Recomputation = "none"
    compile: bool = False

    def build_model(self) -> nn.Module:
        """The whole model with the run's initial weights, on the CPU."""
        return GPT(self.model, seed=self.seed)

    def before_step(self, model: nn.Module, step: int) -> None:
        """Called by `train` before each step with its number, on every rank."""

    def extra_loss(self, model: nn.Module, mean: Mean) -> Tensor | None:
        """What the last forward pass adds to the loss that gradients come from, in nats; None for nothing.

        Not part of the losses that a run reports.

        Args:
            model: the one built by `build_model`, however it is wrapped.
            mean: a detached tensor → its mean over the data-parallel ranks, which must all call this alike.
        """
        return None

    def after_step(self, model: nn.Module, mean: Mean) -> None:
        """Called after each optimizer step, on every rank, for what is learned without gradients."""

    def __post_init__(self) -> None:
        if not isinstance(self.model, ModelConfig):
            raise TrainingSetupError.of(
                "model", self.model, "is no ModelConfig", "use tiny_config() or course_lib.catalog.model('llama3-8b')"
            )
        for name in ("sequence_length", "global_batch"):
            check_count(name, getattr(self, name))
        check_count("microbatch", self.microbatch, minimum=0)
        check_count("seed", self.seed, minimum=0)
        if self.seed >= 2**32:
            raise TrainingSetupError.of("seed", self.seed, f"must be below {2**32}", "give one such as 1234")
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise TrainingSetupError.of(name, value, "is not known", f"use one of {', '.join(choices)}")
        check_positive("learning_rate", self.learning_rate, "try 1e-3")
        check_not_negative("weight_decay", self.weight_decay, "give 0.0, or 0.1 as most large runs do")
        check_decay_rate("momentum", self.momentum)
        if self.clip_norm is not None:
            check_positive("clip_norm", self.clip_norm, "give 1.0, or None")
        if not isinstance(self.compile, bool):
            raise TrainingSetupError.of("compile", self.compile, "is not known", "use True or False")
        if self.sequence_length > (self.model.learned_positions or self.sequence_length):
            raise TrainingSetupError.of(
                "sequence_length",
                self.sequence_length,
                f"is more than the {self.model.learned_positions} positions of {self.model.name}",
                f"use at most {self.model.learned_positions}",
            )
