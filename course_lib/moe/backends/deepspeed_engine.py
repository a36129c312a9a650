"""DeepSpeed-MoE as an engine: its layer, its expert parallelism and its optimizer step under our model's weights."""

from __future__ import annotations

import importlib.util
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor

from course_lib.distributed import (
    Engine,
    Share,
    TrainConfig,
    TrainingSetupError,
    build_optimizer,
    finish_blocks,
    local_rank,
    mean_over_ranks,
)
from course_lib.models import Batch, language_model_loss
from course_lib.moe.backends.deepspeed_layer import DeepSpeedLayer, check_layer, replace_layers
from course_lib.moe.errors import MoEError, check_count
from course_lib.moe.training import MoETrainConfig
from course_lib.runtime import Hardware

REMEDY = "install it with `DS_BUILD_OPS=0 pip install --no-build-isolation deepspeed==0.19.8`, or use expert_parallel"

COMPILED_AT_START = "deepspeed_shm_comm"  # DeepSpeed's name for the all-reduce over shared memory


def deepspeed_engine(config: TrainConfig, machine: Hardware, *, expert_ranks: int | None = None) -> Engine:
    """Train a mixture of experts with DeepSpeed's MoE layers; to be given to `run` or `build_engine`.

    DeepSpeed is no requirement of this course. What was found with deepspeed 0.19.8, torch's CPU build and Python 3.11:
    the source package installs in seconds with DS_BUILD_OPS=0 and --no-build-isolation, which lets its set-up see
    torch, and wants hjson, py-cpuinfo, ninja and einops besides. It runs without a GPU, over gloo, and one and two
    processes give the losses and weights of the "single" engine. Two defaults are in the way. Gradients are clipped to
    a norm of 1.0 unless its configuration says 0.0. And on a CPU it compiles an all-reduce over shared memory when it
    starts, which held up everything for minutes; this engine leaves that out, and gloo does the work.

    It does less than `expert_parallel`: a router's plain top-k, no capacity, no shared experts, no losses of the router
    but the load-balance loss of each rank's tokens, fp32, no clipping and no compilation. Buffers between ranks are
    padded to the fullest expert's load.

    Args:
        config: of the run, a `MoETrainConfig`. Its global batch must divide by the world size.
        machine: the hardware.
        expert_ranks: ranks that share the experts of one replica, neighbors by number; all when left out.

    Raises:
        MoEError: when DeepSpeed is not installed, or for a layer that it can't compute.
        TrainingSetupError: for a model without experts, ranks that don't divide, or a batch that doesn't.

    Source: Rajbhandari et al. 2022 (arXiv:2201.05596); DeepSpeed, "Mixture of Experts"
        (https://www.deepspeed.ai/tutorials/mixture-of-experts/).
    """
    if not isinstance(config, MoETrainConfig):
        raise TrainingSetupError.of("config", config.model.name, "has no experts to share", "use a MoETrainConfig")
    check_layer(config)
    ranks = dist.get_world_size() if expert_ranks is None else expert_ranks
    check_count("expert_ranks", ranks)
    for name, total in (("ranks", dist.get_world_size()), ("experts", config.model.experts)):
        if total % ranks:
            raise TrainingSetupError.of("expert_ranks", ranks, f"does not divide the {total} {name}", "use a divisor")
    share = Share(dist.get_rank(), dist.get_world_size())
    share.check(config)
    if importlib.util.find_spec("deepspeed") is None:
        raise MoEError.of("engine", "deepspeed_engine", "needs DeepSpeed, which is not installed here", REMEDY)

    import deepspeed  # type: ignore[import-not-found]
    from deepspeed.moe.utils import (  # type: ignore[import-not-found]
        split_params_into_different_moe_groups_for_optimizer,
    )

    if machine.kind == "cpu":
        deepspeed.ops.__compatible_ops__[COMPILED_AT_START] = False
    deepspeed.init_distributed(dist_init_required=False)
    device = machine.device(local_rank())
    model = config.build_model()
    layers = replace_layers(model, ranks)
    model.to(device)
    finish_blocks(config, model)
    groups: Any = [{"params": list(model.parameters()), "name": "all"}]
    rows = config.global_batch // share.count
    micro = config.microbatch or rows
    ds, _, _, _ = deepspeed.initialize(
        model=model,
        optimizer=build_optimizer(config, split_params_into_different_moe_groups_for_optimizer(groups)),
        config={
            "train_micro_batch_size_per_gpu": micro,
            "gradient_accumulation_steps": rows // micro,
            "gradient_clipping": 0.0,  # left out, it is 1.0
            "steps_per_print": 10**9,
        },
        dist_init_required=False,
    )
    coefficient = config.moe.balance_loss if config.moe is not None else 0.0

    def forward_backward(batch: Batch) -> Tensor:
        pieces = list(share.microbatches(batch, config.microbatch))
        total = torch.zeros((), device=device)  # scalar
        for number, piece in enumerate(pieces, start=1):
            loss = language_model_loss(ds(piece.tokens.to(device)), piece.targets.to(device))
            total += loss.detach() / len(pieces)
            extra = torch.stack([layer.balance_loss for layer in layers.values()]).sum()
            ds.backward(loss + coefficient * extra)  # divided by the number of pieces in there
            if number < len(pieces):
                ds.step()  # counts a microbatch; the last one's call is the optimizer's step
        return total

    return Engine(
        name="deepspeed_engine",
        config=config,
        model=model,
        optimizer=cast(torch.optim.Optimizer, _Stepping(ds)),
        share=share,
        forward_backward=forward_backward,
        full_state=lambda: _full_state(model, layers),
        mean=mean_over_ranks,
        close=ds.destroy,
    )


class _Stepping:
    """DeepSpeed's engine in the place of an optimizer, which it steps and clears by itself."""

    def __init__(self, ds: Any) -> None:
        self.ds = ds

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Of the optimizer below, for schedules."""
        groups: list[dict[str, Any]] = self.ds.optimizer.param_groups
        return groups

    def step(self) -> None:
        """Exchange gradients and update."""
        self.ds.step()

    def zero_grad(self) -> None:
        """Done by `step`."""


def _full_state(model: torch.nn.Module, layers: dict[str, DeepSpeedLayer]) -> dict[str, Tensor]:
    inside = tuple(f"{name}." for name in layers)
    state = {name: value for name, value in model.state_dict().items() if not name.startswith(inside)}
    for name, layer in layers.items():
        state |= {f"{name}.{inner}": value for inner, value in layer.gathered().items()}
    return {name: value.detach().cpu().clone() for name, value in state.items()}
