"""Distributed data parallel: every rank holds the whole model and sees its own rows; gradients are averaged in buckets.

The exchange of a bucket starts as soon as its last gradient is there, so that it runs beside the rest of the backward
pass.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch.distributed as dist
from torch.distributed.checkpoint.stateful import Stateful
from torch.nn.parallel import DistributedDataParallel

from course_lib.distributed.accumulation import accumulating
from course_lib.distributed.compression import Compression
from course_lib.distributed.compression import compression as compression_named
from course_lib.distributed.config import TrainConfig
from course_lib.distributed.engine import Engine
from course_lib.distributed.errors import TrainingSetupError, check_positive
from course_lib.distributed.local_rank import local_rank
from course_lib.distributed.model_parts import build_model, build_optimizer, plain_state
from course_lib.distributed.reductions import mean_over_ranks
from course_lib.distributed.share import Share
from course_lib.runtime import Hardware


def ddp(
    config: TrainConfig,
    machine: Hardware,
    *,
    bucket_mb: float = 25.0,
    static_graph: bool = False,
    skip_sync: bool = True,
    compression: Compression | str | None = None,
) -> Engine:
    """Train with `DistributedDataParallel` over the default process group.

    Args:
        config: of the run; its global batch must divide by the world size.
        machine: the hardware.
        bucket_mb: size of a bucket of gradients, 2**20 bytes. Smaller ones start earlier, larger ones waste less time
            on latency.
        static_graph: promise that every step uses the same parameters, which lets DDP plan ahead.
        skip_sync: leave out the exchange for all but the last microbatch of a step (`no_sync`).
        compression: of the gradients; a name, or `compression(name, ...)` to choose its options.

    Raises:
        TrainingSetupError: when the batch can't be shared equally, for a bucket without size or an unknown compression.

    Source: Li et al. 2020 (arXiv:2006.15704).
    """
    check_positive("bucket_mb", bucket_mb, "give 25.0, PyTorch's own choice")
    share = Share(dist.get_rank(), dist.get_world_size())
    share.check(config)
    device = machine.device(local_rank())
    whole = build_model(config, device)
    model = DistributedDataParallel(
        whole,
        device_ids=None if machine.kind == "cpu" else [device],
        bucket_cap_mb=bucket_mb,
        gradient_as_bucket_view=True,
        static_graph=static_graph,
    )
    memories: dict[str, Stateful] = {}
    if compression is not None:
        scheme: object = compression_named(compression) if isinstance(compression, str) else compression
        if not isinstance(scheme, Compression):
            remedy = "use a name such as 'powersgd', or compression(name, ...)"
            raise TrainingSetupError.of("compression", compression, "is neither a name nor a Compression", remedy)
        memories["compression"] = scheme.attach(model, config.seed)

    def sync(last: bool) -> AbstractContextManager[object]:
        return nullcontext() if last or not skip_sync else model.no_sync()

    return Engine(
        name="ddp",
        config=config,
        model=model,
        optimizer=build_optimizer(config, model.parameters()),
        share=share,
        forward_backward=accumulating(model, config, share, device, sync=sync, mean=mean_over_ranks),
        full_state=lambda: plain_state(whole),
        mean=mean_over_ranks,
        memories=memories,
    )
