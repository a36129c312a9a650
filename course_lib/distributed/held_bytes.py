"""What a rank holds between two steps: its weights, its gradients and its optimizer's state, in bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor
from torch.distributed.tensor import DTensor

from course_lib.distributed.engine import Engine
from course_lib.distributed.sharding import parameter_bytes


@dataclass(frozen=True)
class Held:
    """Bytes on one rank; of sharded tensors its own part.

    Args:
        weights: of parameters.
        gradients: that are there just now.
        optimizer: tensors of the optimizer's state, counters left out.
    """

    weights: int
    gradients: int
    optimizer: int

    @property
    def total(self) -> int:
        """All three."""
        return self.weights + self.gradients + self.optimizer


def held_bytes(engine: Engine) -> Held:
    """Count what an engine holds on this rank now.

    Args:
        engine: after a step for the optimizer's state, after `forward_backward` for gradients.

    Returns:
        Bytes by kind. Activations and the buffers of collectives are not among them.
    """
    held = {id(p): p for p in engine.model.parameters()}  # tied weights once
    states = (value for state in engine.optimizer.state.values() for value in state.values())
    return Held(
        weights=parameter_bytes(engine.model),
        gradients=_bytes(p.grad for p in held.values() if p.grad is not None),
        optimizer=_bytes(value for value in states if isinstance(value, Tensor) and value.dim()),
    )


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum((t.to_local() if isinstance(t, DTensor) else t).nbytes for t in tensors)
