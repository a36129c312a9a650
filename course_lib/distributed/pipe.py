"""One rank's end of a pipeline: its stages of the model, and PyTorch's schedule that drives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.pipelining import (
    PipelineStage,
    Schedule1F1B,
    ScheduleGPipe,
    ScheduleInterleaved1F1B,
    ScheduleInterleavedZeroBubble,
    ScheduleZBVZeroBubble,
)

from course_lib.distributed.accumulation import Loss
from course_lib.distributed.config import TrainConfig
from course_lib.distributed.errors import TrainingSetupError
from course_lib.distributed.pipeline_schedules import check_schedule, stages_of
from course_lib.distributed.share import Share
from course_lib.distributed.stages import check_stages, cut_stage, split_layers
from course_lib.models import GPT, Batch

RunSchedule = (
    ScheduleGPipe | Schedule1F1B | ScheduleInterleaved1F1B | ScheduleInterleavedZeroBubble | ScheduleZBVZeroBubble
)
ONE_STAGE: dict[str, type[ScheduleGPipe | Schedule1F1B]] = {"gpipe": ScheduleGPipe, "1f1b": Schedule1F1B}
MANY_STAGES: dict[str, type[ScheduleInterleaved1F1B | ScheduleInterleavedZeroBubble | ScheduleZBVZeroBubble]] = {
    "interleaved": ScheduleInterleaved1F1B,
    "zb1p": ScheduleInterleavedZeroBubble,
    "zbv": ScheduleZBVZeroBubble,
}


@dataclass(frozen=True)
class Pipe:
    """One rank's end of a pipeline.

    Args:
        stages: this rank's, with their modules, in the order of the model.
        schedule: what runs them.
        group: the ranks of this pipeline, in the order of their first stages.
        device: where this rank computes.
    """

    stages: list[PipelineStage]
    schedule: RunSchedule
    group: dist.ProcessGroup
    device: torch.device

    @property
    def parts(self) -> nn.ModuleList:
        """The modules of this rank's stages."""
        return nn.ModuleList(stage.submod for stage in self.stages)

    def step(self, batch: Batch) -> Tensor:
        """Run all microbatches forward and backward.

        Args:
            batch: the pipeline's rows, the same on each of its ranks.

        Returns:
            Their mean loss, a detached scalar, on the rank that holds the last stage; 0 on the others.
        """
        # only the first stage looks at the tokens and only the last at the targets
        tokens = (batch.tokens.to(self.device),) if any(stage.is_first for stage in self.stages) else ()
        last = any(stage.is_last for stage in self.stages)
        losses: list[Tensor] = []
        self.schedule.step(
            *tokens,
            target=batch.targets.to(self.device) if last else None,
            losses=losses if last else None,
            return_outputs=False,
        )
        return torch.stack(losses).mean().detach() if last else torch.zeros((), device=self.device)

    def whole_state(self, part_state: Callable[[nn.Module], dict[str, Tensor]]) -> dict[str, Tensor]:
        """The weights of all stages on every rank; every rank of the pipeline must ask.

        Args:
            part_state: one stage's module → its weights, whole, on the CPU.
        """
        mine = {name: value for stage in self.stages for name, value in part_state(stage.submod).items()}
        gathered: list[dict[str, Tensor]] = [{} for _ in range(dist.get_world_size(self.group))]
        dist.all_gather_object(gathered, mine, group=self.group)
        return {name: value for of_rank in gathered for name, value in of_rank.items()}


def microbatches_of(config: TrainConfig, share: Share) -> int:
    """Microbatches that a pipeline sees in a step."""
    rows = config.global_batch // share.count
    return rows // config.microbatch if config.microbatch else 1


def build_pipe(
    config: TrainConfig,
    share: Share,
    group: dist.ProcessGroup,
    device: torch.device,
    *,
    schedule: str,
    virtual_stages: int,
    layers_per_stage: Sequence[int] | None,
    loss_of: Loss,
    prepare: Callable[[GPT], None],
    autocast: bool = True,
) -> Pipe:
    """Cut a model into stages and hand them to PyTorch's schedule.

    Args:
        config: of the run.
        share: which rows of the batch this pipeline gets.
        group: the pipeline's ranks.
        device: where this rank computes.
        schedule, virtual_stages: see `check_schedule`.
        layers_per_stage: see `split_layers`; over all stages, so ranks times chunks numbers.
        loss_of: logits, targets → mean loss of a microbatch.
        prepare: what is done to each stage's module: other parallelisms, recomputation.
        autocast: apply config.precision here; False where `prepare` does so itself.

    Raises:
        TrainingSetupError: when shape, batch and schedule don't fit.
    """
    ranks, microbatches = dist.get_world_size(group), microbatches_of(config, share)
    check_schedule(schedule, ranks, microbatches, virtual_stages)
    check_stages(config.model)
    if config.compile and schedule in ("zb1p", "zbv"):
        raise TrainingSetupError.of(
            "compile",
            True,
            f"can't be used under {schedule!r}: compiled code computes both gradients at once",
            "use 1f1b",
        )
    chosen = stages_of(schedule, ranks, dist.get_rank(group), virtual_stages)
    layers = split_layers(config.model.layers, ranks * len(chosen), layers_per_stage)
    stages = []
    for stage in chosen:
        # the whole model is drawn, since a weight's first value depends on all draws before it; then it is dropped
        part = cut_stage(GPT(config.model, seed=config.seed), layers[stage]).to(device)
        prepare(part)
        if (
            autocast and config.precision == "bf16"
        ):  # the forward pass alone, which a context around the whole step would not be
            part.forward = torch.autocast(device.type, torch.bfloat16)(part.forward)  # type: ignore[method-assign]
        stages.append(PipelineStage(part, stage, ranks * len(chosen), device, group=group))
    return Pipe(stages, run_schedule(schedule, stages, microbatches, loss_of), group, device)


def run_schedule(schedule: str, stages: list[PipelineStage], microbatches: int, loss_of: Loss) -> RunSchedule:
    """PyTorch's schedule of a name over this rank's stages."""
    if schedule in ONE_STAGE:
        return ONE_STAGE[schedule](stages[0], microbatches, loss_fn=loss_of)
    return MANY_STAGES[schedule](list(stages), microbatches, loss_fn=loss_of)
