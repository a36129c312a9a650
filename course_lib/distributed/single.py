"""One process, the whole model: what every other engine must equal."""

from __future__ import annotations

from course_lib.distributed.accumulation import accumulating
from course_lib.distributed.config import TrainConfig
from course_lib.distributed.engine import Engine
from course_lib.distributed.model_parts import build_model, build_optimizer, plain_state
from course_lib.distributed.share import Share
from course_lib.runtime import Hardware


def single(config: TrainConfig, machine: Hardware) -> Engine:
    """Train in this process alone, whoever else there may be."""
    share = Share()
    share.check(config)
    device = machine.device(0)
    model = build_model(config, device)
    return Engine(
        name="single",
        config=config,
        model=model,
        optimizer=build_optimizer(config, model.parameters()),
        forward_backward=accumulating(model, config, share, device),
        full_state=lambda: plain_state(model),
    )
