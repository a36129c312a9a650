"""How a kernel is simulated: which generation, which precision, what is recorded, what counts as an error."""

from __future__ import annotations

from dataclasses import dataclass

from course_lib.nki.constants import nc_version

TARGETS = {
    "trn1": nc_version.gen2,
    "inf2": nc_version.gen2,
    "gen2": nc_version.gen2,
    "trn2": nc_version.gen3,
    "gen3": nc_version.gen3,
    "trn3": nc_version.gen4,
    "gen4": nc_version.gen4,
}


@dataclass(frozen=True)
class Options:
    """Settings of one simulation.

    Args:
        target: generation, as `NEURON_PLATFORM_TARGET_OVERRIDE` spells it: trn1, inf2, gen2, trn2, gen3, trn3, gen4.
        precise: store low-precision formats as such (`NKI_PRECISE_FP`); otherwise as float32.
        execute: compute values. Off, only shapes are followed, for cost and memory of large kernels.
        record: keep every instruction, for the cost model and the trace.
        uninitialised: "mark" fills fresh memory with NaN or 4 as the official simulator does; "error" also refuses to
            read what was never written.
        capacity: check that the tiles alive at one time fit in SBUF and PSUM.
        max_instructions: more than this and the kernel is taken to loop for ever.
        patience: seconds of processor time without an instruction or an allocation, after which the kernel is taken to
            loop for ever too; math.inf never ends it.

    Raises:
        ValueError: for an unknown target or mode, naming the choices, or a patience that is not positive.
    """

    target: str = "gen4"
    precise: bool = True
    execute: bool = True
    record: bool = False
    uninitialised: str = "mark"
    capacity: bool = True
    max_instructions: int = 5_000_000
    patience: float = 30.0

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise ValueError(f"target {self.target!r} is unknown; choose one of {', '.join(TARGETS)}.")
        if self.uninitialised not in ("mark", "error"):
            raise ValueError(f"uninitialised={self.uninitialised!r} is unknown; choose 'mark' or 'error'.")
        if not self.patience > 0:
            raise ValueError(f"patience={self.patience!r} is not a positive number of seconds; math.inf never ends it.")

    @property
    def version(self) -> nc_version:
        """The NeuronCore generation."""
        return TARGETS[self.target]
