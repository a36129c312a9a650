"""`nki.profile`: where a kernel's time goes, by a model of the documented costs.

It is a model, not a measurement. It was checked against the documented formula of each instruction, the documented
example of a DMA (32 KiB on one engine, 1416 ns), the documentation's chart of DMA throughput and the peak rates of the
tensor engine; the tests hold these comparisons. No run on a chip stands behind it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_lib.nki.accounts import EngineUse, LineCost, engine_use, line_costs
from course_lib.nki.capacity import peak_use
from course_lib.nki.constants import MemoryRegion
from course_lib.nki.instruction import Instruction
from course_lib.nki.kernel import Kernel, default_options, run_kernel
from course_lib.nki.rarely import rare_collections
from course_lib.nki.schedule import Schedule, schedule
from course_lib.nki.session import Core
from course_lib.nki.verdict import bottleneck, work_of

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


@dataclass(frozen=True)
class TimedInstruction:
    """An instruction with its place in time.

    Attributes:
        instruction: as the kernel issued it.
        queue: engine, or `dma` and the kernel's line.
        start, end: seconds from the start of the kernel.
    """

    instruction: Instruction
    queue: str
    start: float
    end: float


@dataclass(frozen=True)
class Profile:
    """A kernel's modelled run. With two cores (LNC2), times are those of the slower one; bytes and operations are sums.

    Attributes:
        kernel: its name.
        target: generation, `gen3`.
        seconds: total time.
        engines: `tensor`, `vector`, `scalar`, `gpsimd`, `sync` where used, and `dma` → use.
        hbm_read_bytes, hbm_written_bytes: that cross HBM.
        sbuf_peak_bytes, psum_peak_bytes: most bytes of a partition in use at one time, in program order.
        operations: floating-point operations: of the matmuls, or of the other engines where there are none.
        peak_flops_per_s: of the tensor engine in the format of most matmuls, or of the vector engine's lanes.
        peak_name: what that peak is, in words.
        hbm_bytes_per_s: that the DMA engines can move.
        bottleneck: in words.
        estimated: instructions for which no page prints a cost.
        results: what the kernel returned; None without execution.
        cores: one profile for each core of an LNC2 kernel; empty for one core.
        schedule, core: the raw placement, for the exports.
    """

    kernel: str
    target: str
    seconds: float
    engines: dict[str, EngineUse]
    hbm_read_bytes: int
    hbm_written_bytes: int
    sbuf_peak_bytes: float
    psum_peak_bytes: float
    operations: float
    peak_flops_per_s: float
    peak_name: str
    hbm_bytes_per_s: float
    bottleneck: str
    estimated: tuple[str, ...]
    results: Any = field(repr=False)
    cores: tuple[Profile, ...] = field(repr=False)
    schedule: Schedule = field(repr=False)
    core: Core = field(repr=False)

    @property
    def hbm_bytes(self) -> int:
        """Bytes over HBM in both directions."""
        return self.hbm_read_bytes + self.hbm_written_bytes

    @property
    def arithmetic_intensity(self) -> float:
        """Operations for each byte over HBM; 0 without traffic."""
        return self.operations / self.hbm_bytes if self.hbm_bytes else 0.0

    @property
    def flops_per_s(self) -> float:
        """Achieved rate."""
        return self.operations / self.seconds if self.seconds else 0.0

    @property
    def peak_fraction(self) -> float:
        """Achieved rate over peak rate."""
        return self.flops_per_s / self.peak_flops_per_s

    @property
    def tflops(self) -> float:
        """Achieved rate, 1e12 operations per second."""
        return self.flops_per_s / 1e12

    @property
    def peak_tflops(self) -> float:
        """Peak rate, 1e12 operations per second."""
        return self.peak_flops_per_s / 1e12

    @property
    def instructions(self) -> list[TimedInstruction]:
        """Every instruction of the (slower) core with its place in time, in program order."""
        plan = self.schedule
        return [
            TimedInstruction(made, plan.queue[at], plan.start[at] * 1e-9, plan.end[at] * 1e-9)
            for at, made in enumerate(self.core.instructions)
        ]

    @functools.cached_property
    def line_costs(self) -> list[LineCost]:
        """Cost of each kernel line, the most critical first."""
        return line_costs(self.core, self.schedule)

    def lines(self) -> pd.DataFrame:
        """Cost of each kernel line as a data frame, the most critical first."""
        import pandas as pd

        return pd.DataFrame([vars(line) for line in self.line_costs])

    def summary(self) -> str:
        """The profile as text."""
        from course_lib.nki.report import summary

        return summary(self)

    def __str__(self) -> str:
        return self.summary()

    def chrome_trace(self) -> dict[str, Any]:
        """The run in the Trace Event Format, which Perfetto and Chrome's tracing page open."""
        from course_lib.nki.trace import chrome_trace

        return chrome_trace(self)

    def save_trace(self, path: str | Path) -> Path:
        """Writes the trace as JSON; open it at ui.perfetto.dev."""
        from course_lib.nki.trace import save_trace

        return save_trace(self, path)

    def timeline(self) -> tuple[go.Figure, str]:
        """A plotly figure of what each engine does when, and its alt text."""
        from course_lib.nki.figures import timeline

        return timeline(self)

    def memory_map(self, buffer: str = "sbuf") -> tuple[go.Figure, str]:
        """A plotly figure of the tiles in SBUF (or `psum`) over time, and its alt text."""
        from course_lib.nki.figures import memory_map

        return memory_map(self, buffer)

    def roofline(self) -> tuple[go.Figure, str]:
        """A plotly figure of the kernel under its core's roof, and its alt text."""
        from course_lib.nki.figures import roofline

        return roofline(self)


def profile(kernel: Callable[..., Any] | Kernel, execute: bool = True, **options: Any) -> Callable[..., Profile]:
    """A function that runs a kernel under the cost model and returns its `Profile`.

    The times come from a model of the documented costs, not from a chip. Each instruction is charged the documented
    cycles of its engine, engines run side by side, each in program order, and wait for what they read and for what they
    overwrite; DMA transfers pay a start of 1300 ns and share 16 engines. Checked against the documented formulas, the
    documented 1416 ns of a 32 KiB transfer, the documentation's chart of DMA throughput and the peak rates; not checked
    against runs on a chip. Not modelled: what a compiler changes (spills, reordering, fused instructions), software
    generation of DMA descriptors, and how long one core of an LNC2 pair waits for the other at a barrier.

    Args:
        kernel: a kernel, `kernel[2]` for two cores, or a plain function.
        execute: compute values too; off, only shapes are followed, which is fast for large kernels.
        options: settings of the simulation by name, e.g. target="gen3".

    Returns:
        A callable that takes the kernel's arguments.
    """
    wrapped = kernel if isinstance(kernel, Kernel) else Kernel(kernel)
    name = getattr(wrapped.function, "__name__", "kernel")

    @functools.wraps(wrapped.function)
    @rare_collections()
    def run(*args: Any, **kwargs: Any) -> Profile:
        settings = replace(default_options(), **{**options, "execute": execute, "record": True})
        results, cores = run_kernel(wrapped, args, kwargs, settings)
        made = [_profile_core(name, core, results if execute else None) for core in cores]
        return made[0] if len(made) == 1 else _together(made)

    return run


def _profile_core(name: str, core: Core, results: Any) -> Profile:
    plan = schedule(core.instructions, core.hardware)
    work = work_of(core.instructions, core.hardware)
    seconds = plan.total * 1e-9
    engines = engine_use(core, plan)
    rate = core.hardware.dma_engines * core.hardware.dma_bytes_per_ns * 1e9
    read = sum(transfer.hbm_read for transfer in plan.transfers.values())
    written = sum(transfer.hbm_written for transfer in plan.transfers.values())
    return Profile(
        kernel=name,
        target=core.version.name,
        seconds=seconds,
        engines=engines,
        hbm_read_bytes=read,
        hbm_written_bytes=written,
        sbuf_peak_bytes=peak_use(core, MemoryRegion.sbuf)[0],
        psum_peak_bytes=peak_use(core, MemoryRegion.psum)[0],
        operations=work.operations,
        peak_flops_per_s=work.peak_flops_per_s,
        peak_name=work.peak_name,
        hbm_bytes_per_s=rate,
        bottleneck=bottleneck(plan, core.hardware, {name: use.busy for name, use in engines.items()}),
        estimated=tuple(sorted(plan.estimated)),
        results=results,
        cores=(),
        schedule=plan,
        core=core,
    )


def _together(cores: list[Profile]) -> Profile:
    return replace(
        max(cores, key=lambda made: made.seconds),
        hbm_read_bytes=sum(made.hbm_read_bytes for made in cores),
        hbm_written_bytes=sum(made.hbm_written_bytes for made in cores),
        operations=sum(made.operations for made in cores),
        peak_flops_per_s=sum(made.peak_flops_per_s for made in cores),
        hbm_bytes_per_s=sum(made.hbm_bytes_per_s for made in cores),
        estimated=tuple(sorted({name for made in cores for name in made.estimated})),
        cores=tuple(cores),
    )
