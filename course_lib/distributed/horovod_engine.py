"""Horovod: every rank holds the whole model; a background thread of each averages gradients as they become ready.

Where DDP cuts the gradients into fixed buckets beforehand, Horovod's ranks agree every cycle on what all of them have
ready, and fuse that into one buffer before it goes around the ring. How long a cycle is (1 ms) and how large the buffer
(128 MiB) is read when `hvd.init()` runs, from HOROVOD_CYCLE_TIME in milliseconds and HOROVOD_FUSION_THRESHOLD in bytes,
so they are set where the ranks are started. Defaults: `horovodrun --help` of Horovod 0.28.1.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Literal

from torch import Tensor

from course_lib.distributed.accumulation import accumulating
from course_lib.distributed.config import TrainConfig
from course_lib.distributed.engine import Engine
from course_lib.distributed.errors import TrainingSetupError, check_count
from course_lib.distributed.local_rank import local_rank
from course_lib.distributed.model_parts import build_model, build_optimizer, plain_state
from course_lib.distributed.share import Share
from course_lib.models import Batch
from course_lib.runtime import Hardware

Compression = Literal["none", "fp16"]


def horovod(
    config: TrainConfig,
    machine: Hardware,
    *,
    compression: Compression = "none",
    op: str = "average",
    groups: int | None = None,
) -> Engine:
    """Train with `hvd.DistributedOptimizer` over the ranks that Horovod's own rendezvous brings together.

    Sparse gradients of which every rank keeps other entries (top-k) don't fit here: Horovod's compressors stand around
    an all-reduce, which adds entries by position. They are DDP's.

    Args:
        config: of the run; its global batch must divide by Horovod's size.
        machine: the hardware.
        compression: "fp16" sends gradients as 16-bit floats, which are added as such.
        op: "average". "adasum", which adds gradients the less the more they point the same way, exists in Horovod
            0.28.1 for MPI alone; over gloo its core answers "No Adasum operation enabled".
        groups: fuse the gradients into so many fixed groups, as DDP's buckets; None lets each cycle decide.

    Raises:
        TrainingSetupError: when the batch can't be shared equally, or for an option outside of its domain.

    Source: Sergeev & Del Balso 2018 (arXiv:1802.05799) section 4; Maleki et al. 2020 (arXiv:2006.02924) for Adasum.
    """
    import horovod.torch as hvd

    compressors = {"none": hvd.Compression.none, "fp16": hvd.Compression.fp16}
    if not isinstance(compression, str) or compression not in compressors:
        remedy = "use one of none, fp16; engine 'ddp' has more"
        raise TrainingSetupError.of("compression", compression, "is not known to Horovod", remedy)
    if op != "average":
        limit = "is not there over gloo: Horovod has it for MPI alone" if op == "adasum" else "is not known"
        raise TrainingSetupError.of("op", op, limit, "use op='average'")
    if groups is not None:
        check_count("groups", groups)

    def mean(value: Tensor) -> Tensor:
        averaged: Tensor = hvd.allreduce(value, name="mean", op=hvd.Average)
        return averaged

    opened = ExitStack()
    hvd.init()
    opened.callback(hvd.shutdown)
    try:
        share = Share(hvd.rank(), hvd.size())
        share.check(config)
        device = machine.device(local_rank())
        model = build_model(config, device)
        rows = config.global_batch // share.count
        optimizer = hvd.DistributedOptimizer(
            build_optimizer(config, model.parameters()),
            named_parameters=model.named_parameters(),
            compression=compressors[compression],
            backward_passes_per_step=rows // (config.microbatch or rows),
            op=hvd.Average,
            num_groups=groups or 0,
        )
        hvd.broadcast_parameters(model.state_dict(), root_rank=0)
        # No `hvd.broadcast_optimizer_state`: where there is no state yet it takes a step to make some. The gradients of
        # that step are zero, but AdamW counts it, and decays the weights.
    except BaseException:
        opened.close()
        raise
    local = accumulating(model, config, share, device, mean=mean)
    # `forward_backward` waits for the exchange, as the engine's contract asks, so that clipping sees the average. The
    # optimizer's `step` must not exchange a second time.
    opened.enter_context(optimizer.skip_synchronize())

    def forward_backward(batch: Batch) -> Tensor:
        loss = local(batch)
        optimizer.synchronize()
        return loss

    return Engine(
        name="horovod",
        config=config,
        model=model,
        optimizer=optimizer,
        share=share,
        forward_backward=forward_backward,
        full_state=lambda: plain_state(model),
        mean=mean,
        close=opened.close,
    )
