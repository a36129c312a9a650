"""Pipeline parallelism: the ranks share the stack of layers, and microbatches follow one another through it.

Between two ranks travels one activation per microbatch and its gradient back, so that slow links do; the price is the
time that ranks wait while the pipeline fills and drains, which schedules differ in.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.distributed as dist

from course_lib.distributed.config import TrainConfig
from course_lib.distributed.dtensors import clip_over_ranks
from course_lib.distributed.engine import Engine
from course_lib.distributed.local_rank import local_rank
from course_lib.distributed.model_parts import build_optimizer, finish_blocks, plain_state
from course_lib.distributed.pipe import build_pipe
from course_lib.distributed.pipeline_schedules import PipelineSchedule
from course_lib.distributed.reductions import sum_over_ranks
from course_lib.distributed.share import Share
from course_lib.models import language_model_loss
from course_lib.runtime import Hardware


def pipeline(
    config: TrainConfig,
    machine: Hardware,
    *,
    pipeline_schedule: PipelineSchedule = "1f1b",
    virtual_stages: int = 1,
    layers_per_stage: Sequence[int] | None = None,
) -> Engine:
    """Train with the layers shared by all ranks of the default process group; all see the same rows.

    Args:
        config: of the run; its microbatch decides how many microbatches follow one another.
        machine: the hardware.
        pipeline_schedule: "gpipe" (all forward, then all backward), "1f1b", "interleaved" (1F1B over several chunks of
            layers per rank), "zb1p" or "zbv" (zero bubble: weight gradients fill the gaps).
        virtual_stages: chunks of layers per rank, for "interleaved".
        layers_per_stage: how many layers each stage holds, first to last; as evenly as can be when left out.

    Raises:
        TrainingSetupError: when there are fewer layers than stages, too few microbatches, or tied embeddings.

    Source: Huang et al. 2018 (arXiv:1811.06965); Narayanan et al. 2021 (arXiv:2104.04473); Qi et al. 2023
        (arXiv:2401.10241).
    """
    share = Share()
    share.check(config)
    device = machine.device(local_rank())
    group = dist.distributed_c10d._get_default_group()
    pipe = build_pipe(
        config,
        share,
        group,
        device,
        schedule=pipeline_schedule,
        virtual_stages=virtual_stages,
        layers_per_stage=layers_per_stage,
        loss_of=language_model_loss,
        prepare=lambda part: finish_blocks(config, part),
    )
    return Engine(
        name="pipeline",
        config=config,
        model=pipe.parts,
        optimizer=build_optimizer(config, pipe.parts.parameters()),
        share=share,
        forward_backward=pipe.step,
        full_state=lambda: pipe.whole_state(plain_state),
        mean=sum_over_ranks,  # the ranks without the last stage hold zeros
        clip=lambda limit: clip_over_ranks(pipe.parts.parameters(), limit, group),
    )
