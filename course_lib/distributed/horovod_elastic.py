"""Elastic Horovod: ranks come and go, the global batch stays, and work goes on from the last commit.

Called in the workers that `horovodrun` starts, not by the launcher; `elastic_run` does both on this machine.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from course_lib.distributed.accumulation import accumulating
from course_lib.distributed.config import TrainConfig
from course_lib.distributed.model_parts import build_model, build_optimizer
from course_lib.distributed.run import markov_batches
from course_lib.distributed.share import Share
from course_lib.runtime import hardware


@dataclass(frozen=True)
class ElasticHistory:
    """What an elastic run leaves behind.

    Args:
        losses: mean loss of each step's global batch, before its update.
        world_sizes: ranks that took part in each step.
        attempts: steps that were begun, by number; one that a failure cut off, or undid, is there again.
    """

    losses: tuple[float, ...]
    world_sizes: tuple[int, ...]
    attempts: tuple[int, ...]


def train_elastically(
    config: TrainConfig,
    steps: int,
    *,
    commit_every: int = 1,
    on_step: Callable[[int, int, int], None] = lambda step, rank, size: None,
) -> ElasticHistory:
    """Train in one worker of an elastic job; every worker that horovodrun starts, early or late, calls it alike.

    A commit copies the state to memory and looks for changed hosts. When a rank dies, the others go back to the last
    commit, form a smaller ring and take rank 0's state; a rank that joins takes it as well. What a step computes does
    not depend on the number of ranks, so the loss curve shows nothing of all this.

    Args:
        config: of the run; its global batch must divide by every number of ranks that may occur.
        steps: optimizer steps.
        commit_every: steps from one commit to the next: the most that a failure can undo.
        on_step: called before each step with its number, this worker's rank and the ranks there are: faults, reports.

    Returns:
        Losses, how many ranks each step had, and which steps this worker began.

    Raises:
        TrainingSetupError: when the batch can't be shared by the ranks that are left.

    Source: Horovod 0.28.1, docs/elastic.rst.
    """
    import horovod.torch as hvd
    from horovod.torch.elastic.state import get_handler_registry, set_handler_registry

    hvd.init()
    device = hardware("cpu").device()
    model = build_model(config, device)
    optimizer = hvd.DistributedOptimizer(build_optimizer(config, model.parameters()), model.named_parameters())
    batches = markov_batches(config)
    attempts = []

    @hvd.elastic.run  # type: ignore[untyped-decorator]
    def work(state: Any) -> None:
        share = Share(hvd.rank(), hvd.size())
        share.check(config)
        rows = config.global_batch // share.count
        optimizer.set_backward_passes_per_step(rows // (config.microbatch or rows))
        forward_backward = accumulating(model, config, share, device)
        while state.step < steps:
            attempts.append(state.step)
            on_step(state.step, share.index, share.count)
            optimizer.zero_grad()  # before, not after: a step that a failure cut off has left gradients
            loss = forward_backward(share.of(batches[state.step]))
            optimizer.step()
            # New tuples: a commit keeps the objects of before, and what is changed in place can't be restored.
            state.losses = (*state.losses, float(hvd.allreduce(loss, name="loss")))
            state.world_sizes = (*state.world_sizes, share.count)
            state.step += 1
            if state.step % commit_every == 0:
                state.commit()

    set_handler_registry([(torch.optim.Optimizer, OptimizerMemory), *get_handler_registry()])
    state = hvd.elastic.TorchState(model=model, optimizer=optimizer, step=0, losses=(), world_sizes=())
    work(state)
    hvd.shutdown()
    return ElasticHistory(state.losses, state.world_sizes, tuple(attempts))


class OptimizerMemory:
    """An optimizer's part of `TorchState`, in place of Horovod's own.

    Horovod's takes a step to create a state that is not there yet: AdamW counts it, and a worker that joins decays its
    weights after it has received them, so that from then on it trains another model. And what it restores it goes on
    changing, so that a second failure before the next commit restores something else.

    Args:
        optimizer: whose state is kept.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.value = optimizer
        self.save()

    def save(self) -> None:
        """Copy the state."""
        self._saved = copy.deepcopy(self.value.state_dict())

    def restore(self) -> None:
        """Go back to the copy, which stays as it is."""
        self.value.load_state_dict(copy.deepcopy(self._saved))

    def sync(self) -> None:
        """Take rank 0's state."""
        import horovod.torch as hvd

        self.value.load_state_dict(hvd.broadcast_object(self.value.state_dict(), root_rank=0))
        self.save()

    def set_value(self, value: torch.optim.Optimizer) -> None:
        """Keep the state of another optimizer from now on."""
        self.value = value
        self.save()
