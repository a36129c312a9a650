"""What a rank holds between two steps: its weights, its gradients and its optimizer's state, in bytes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from course_lib.distributed.dtensors import local_bytes
from course_lib.distributed.engine import Engine


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
    states = (value for state in engine.optimizer.state.values() for value in state.values())
    return Held(
        weights=local_bytes(engine.model.parameters()),
        gradients=local_bytes(p.grad for p in engine.model.parameters() if p.grad is not None),
        optimizer=local_bytes(value for value in states if isinstance(value, Tensor) and value.dim()),
    )
