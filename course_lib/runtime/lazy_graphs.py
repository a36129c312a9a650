"""Count what a lazy device compiles, with the lazy tensors that PyTorch itself carries (device "lazy", on the CPU).

They work as torch_xla's do: operations are recorded, and a graph is cut, looked up and run when a value is asked for or
a step is marked. Their compiler is TorchScript; what it counts here is when it was called and when a cache saved it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_ready = False


@dataclass
class LazyGraphs:
    """Graphs that were cut while a block ran.

    Args:
        compiled: graphs that were new.
        reused: graphs that the in-memory cache held.
    """

    compiled: int = 0
    reused: int = 0

    @property
    def executed(self) -> int:
        """Graphs that were run."""
        return self.compiled + self.reused


def lazy_device() -> str:
    """Switch PyTorch's lazy tensors on.

    Returns:
        The name to give to `.to(...)`.
    """
    global _ready
    if not _ready:
        import torch._lazy.ts_backend

        torch._lazy.ts_backend.init()  # type: ignore[no-untyped-call]
        _ready = True
    return "lazy"


def mark_step() -> None:
    """Cut the graph here: run everything that was recorded, as `torch_xla.sync()` does."""
    import torch._lazy

    torch._lazy.mark_step()


@contextmanager
def lazy_graphs() -> Iterator[LazyGraphs]:
    """Count the graphs that a block cuts; what is still pending before it is run and not counted.

    Yields:
        The counts, filled in when the block ends.
    """
    import torch._lazy.metrics as metrics

    lazy_device()
    mark_step()
    metrics.reset()  # type: ignore[no-untyped-call]
    counts = LazyGraphs()
    yield counts
    known = metrics.counter_names()  # type: ignore[no-untyped-call]
    counts.compiled, counts.reused = (
        metrics.counter_value(name) if name in known else 0 for name in ("UncachedCompile", "CachedCompile")
    )
