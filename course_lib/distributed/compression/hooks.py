"""Communication hooks of DDP that compress, and what each must remember from one step to the next.

DDP calls a hook with each bucket of gradients instead of all-reducing it, and goes on with the backward pass; it waits
for the future that the hook returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks, powerSGD_hook
from torch.futures import Future

from course_lib.distributed.compression.codecs import Codec

if TYPE_CHECKING:
    from torch._C._distributed_c10d import GradBucket

PowerSGDState = powerSGD_hook.PowerSGDState
# DDP lays its buckets anew after the first step, by the order in which gradients came.
STEPS_OF_FIRST_BUCKETS = 2
PRIME = 1_000_003
_KEPT_ALIVE: list[dist.ProcessGroup] = []


class Hook(Protocol):
    """A hook with a memory that a checkpoint must hold. What differs by rank is under a key with the rank's number."""

    def __call__(self, bucket: GradBucket) -> Future[Tensor]:
        """Exchange one bucket: (elements,) of this rank → their mean over ranks."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What to save."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what was saved."""
        ...


@dataclass(frozen=True)
class Cast:
    """Gradients as 16-bit floats: half of the bytes; the sum is taken in that type too.

    Args:
        dtype: torch.float16 or torch.bfloat16; None sends them as they are.

    Source: torch.distributed.algorithms.ddp_comm_hooks.default_hooks.
    """

    dtype: torch.dtype | None

    def __call__(self, bucket: GradBucket) -> Future[Tensor]:
        """See `Hook`."""
        hooks: dict[torch.dtype | None, Any] = {
            None: default_hooks.allreduce_hook,
            torch.float16: default_hooks.fp16_compress_hook,
            torch.bfloat16: default_hooks.bf16_compress_hook,
        }
        future: Future[Tensor] = hooks[self.dtype](dist.group.WORLD, bucket)
        return future

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing."""


class LowRank:
    """PowerSGD: each matrix as the product of two thin ones, found by one step of power iteration on all ranks.

    torch's hook makes its second and third all-reduce in callbacks of the one before. With NCCL these run in the order
    of the buckets; with gloo they run when a message has come, in another order on each rank, and ranks would add a
    factor of one bucket to that of another. So over gloo a bucket waits for the one before it.

    Args:
        state: of torch's own hook, which does the work.

    Source: Vogels et al. 2019 (arXiv:1905.13727); torch.distributed.algorithms.ddp_comm_hooks.powerSGD_hook.
    """

    KEPT = ("p_memory_dict", "q_memory_dict", "iter", "rng")

    def __init__(self, state: PowerSGDState) -> None:
        self.state = state
        self._steps_before = 0

    def __call__(self, bucket: GradBucket) -> Future[Tensor]:
        """See `Hook`."""
        if self._steps_before:  # memories fit the buckets of later steps, not yet these
            self._steps_before -= bucket.is_last()
            future: Future[Tensor] = default_hooks.allreduce_hook(self.state.process_group, bucket)
        else:
            future = powerSGD_hook.powerSGD_hook(self.state, bucket)
            if dist.get_backend() == "gloo":
                future.wait()
                _keep_alive(dist.group.WORLD)
        return future

    def state_dict(self) -> dict[str, Any]:
        """The factors and the number of steps, and this rank's errors."""
        kept = {name: getattr(self.state, name) for name in self.KEPT}
        return kept | {f"error.rank{dist.get_rank()}": dict(self.state.error_dict)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on; the first two steps exchange whole gradients, until DDP has laid its buckets as they were."""
        for name in self.KEPT:
            setattr(self.state, name, state[name])
        self.state.error_dict = dict(state.get(f"error.rank{dist.get_rank()}", {}))
        self._steps_before = STEPS_OF_FIRST_BUCKETS


def _keep_alive(group: dist.ProcessGroup | None) -> None:
    """Hold a group until the process ends, when a callback in one of its own threads may be the last to hold it.

    Its end joins its threads, so that a thread that brings it about waits for itself: the process aborts with "Resource
    deadlock avoided", about once in 30 short runs.
    """
    if group is not None and all(group is not kept for kept in _KEPT_ALIVE):
        _KEPT_ALIVE.append(group)


class Feedback:
    """A codec whose error is kept and added to the next gradient, so that nothing is lost, only late.

    Args:
        codec: shortens gradients.
        model: whose parameters' names label what is kept.
        error_feedback: False forgets what was not sent.
        seed: of codecs that draw.

    An infinite gradient leaves an error that is not a number: check gradients before the step that they belong to.

    Source: Karimireddy et al. 2019 (arXiv:1901.09847) algorithm 2.
    """

    def __init__(self, codec: Codec, model: nn.Module, *, error_feedback: bool, seed: int) -> None:
        self._codec, self._error_feedback, self._seed = codec, error_feedback, seed
        self._number: dict[Tensor, int] = {
            parameter: number for number, (_, parameter) in enumerate(model.named_parameters())
        }
        self._names = [name for name, _ in model.named_parameters()]
        self._errors: dict[str, Tensor] = {}
        self._step = 0

    def __call__(self, bucket: GradBucket) -> Future[Tensor]:
        """See `Hook`."""
        buffer = bucket.buffer()  # (elements,)
        numbers = [self._number[parameter] for parameter in bucket.parameters()]
        sizes = [gradient.numel() for gradient in bucket.gradients()]
        seeds = [((self._seed * PRIME + self._step) * PRIME + number) % 2**63 for number in numbers]
        values = buffer.float()  # (elements,)
        if self._error_feedback:
            errors = [self._error(*of, buffer.device) for of in zip(numbers, sizes, strict=True)]
            values = values + torch.cat(errors)
        message = self._codec.encode(values, sizes, seeds)  # (length,)
        if self._error_feedback:
            sent = self._codec.decode(message[None], sizes, seeds)  # (elements,)
            for number, error in zip(numbers, torch.split(values - sent, sizes), strict=True):
                self._errors[self._names[number]] = error
        self._step += bucket.is_last()

        def spread(messages: Tensor) -> Tensor:
            buffer.copy_(self._codec.decode(messages, sizes, seeds))
            return buffer

        return _gather(message, spread) if self._codec.gathers else _average(message, spread)

    def _error(self, number: int, size: int, device: torch.device) -> Tensor:
        found = self._errors.get(self._names[number])
        return torch.zeros(size, device=device) if found is None else found  # (size,)

    def state_dict(self) -> dict[str, Any]:
        """This rank's errors by parameter, and the number of steps."""
        return {"step": self._step, f"error.rank{dist.get_rank()}": {k: v.clone() for k, v in self._errors.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on; a rank that the saved run did not have begins without errors."""
        self._step = state["step"]
        self._errors = {k: v.clone() for k, v in state.get(f"error.rank{dist.get_rank()}", {}).items()}


def _gather(message: Tensor, then: Callable[[Tensor], Tensor]) -> Future[Tensor]:
    messages = message.new_empty(dist.get_world_size(), len(message))  # (ranks, length)
    work = dist.all_gather(list(messages), message, async_op=True)
    assert work is not None
    done: Future[Tensor] = work.get_future().then(lambda _: then(messages))
    return done


def _average(message: Tensor, then: Callable[[Tensor], Tensor]) -> Future[Tensor]:
    work = dist.all_reduce(message, async_op=True)
    assert work is not None
    done: Future[Tensor] = work.get_future().then(lambda _: then(message[None] / dist.get_world_size()))
    return done
