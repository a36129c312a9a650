"""Shares of the data sheet's peaks that long-running training reaches, one set for each generation of chips.

Data sheets give peaks; kernels, collectives and power limits take the rest. The shares below are the same for every row
of every paper: none belongs to one row. What software can and cannot hide stands in `software.py`.
"""

from dataclasses import dataclass, replace

from course_lib.arithmetic.errors import check_fraction, check_not_negative
from course_lib.catalog import Accelerator


@dataclass(frozen=True)
class Efficiency:
    """Shares of the peaks, all of them fractions, and start-up times.

    Args:
        matmul: of the matrix peak, by a large matmul inside of a training loop.
        matmul_fp8: the same in an 8-bit format, casting apart.
        half_width: a matmul with one side of this many elements reaches half of that; two such sides, a third.
        attention_forward, attention_backward: of the 16-bit matrix peak, by a fused (flash) attention kernel.
        attention_unfused: of the 16-bit matrix peak, by the two small matmuls of attention without such a kernel.
        memory: of the memory bandwidth, by elementwise kernels.
        link: of the links inside a node, by collectives.
        network: of the network between nodes, by collectives.
        message: of the network between nodes, by one stage's message to the next.
        link_seconds, network_seconds: start-up time of one message between neighbors in a ring.
        calibrated: whether published runs of this generation were used.
    """

    matmul: float
    matmul_fp8: float
    half_width: float
    attention_forward: float
    attention_backward: float
    attention_unfused: float
    memory: float
    link: float
    network: float
    message: float
    link_seconds: float
    network_seconds: float
    calibrated: bool

    def __post_init__(self) -> None:
        for name in ("matmul", "matmul_fp8", "attention_forward", "attention_backward", "attention_unfused"):
            check_fraction(name, getattr(self, name))
        for name in ("memory", "link", "network", "message"):
            check_fraction(name, getattr(self, name))
        for name in ("half_width", "link_seconds", "network_seconds"):
            check_not_negative(name, getattr(self, name))


# Calibrated on SC21 (arXiv:2104.04473), Korthikanti (2205.05198) and MegaScale (2402.15627). Fitted anew without one of
# them, `matmul` and `memory` still predict it within 13 %; tests/arithmetic/planner/test_published_runs.py does so.
# `link` is what nccl-tests reports for 8 A100 (the catalog's network row). `message` is set on MT-NLG alone, which is
# predicted a fifth too fast without it.
A100 = Efficiency(
    matmul=0.74,
    matmul_fp8=0.60,
    half_width=48,
    attention_forward=0.55,
    attention_backward=0.45,
    attention_unfused=0.45,
    memory=0.80,
    link=0.783,
    network=0.80,
    message=0.45,
    link_seconds=2e-6,
    network_seconds=6e-6,
    calibrated=True,
)

# Calibrated on Llama 3 (arXiv:2407.21783 Table 4) and torchtitan (benchmarks/llama3_h100_202412), checked in the same
# way. A chip of 700 W cannot hold its clock under dense matmuls, hence the lower share. Attention as FlashAttention-2
# runs on this chip; `link` is what nccl-tests reports (the catalog's network row).
H100 = Efficiency(
    matmul=0.64,
    matmul_fp8=0.60,
    half_width=48,
    attention_forward=0.45,
    attention_backward=0.38,
    attention_unfused=0.30,
    memory=0.80,
    link=0.816,
    network=0.80,
    message=0.45,
    link_seconds=2e-6,
    network_seconds=6e-6,
    calibrated=True,
)

# No run with a published layout is at hand for any other chip: the H100's shares stand in, and say so.
UNCALIBRATED = replace(H100, calibrated=False)

EFFICIENCIES = {"a100-40gb": A100, "a100-80gb": A100, "h100": H100, "h200": H100}


def efficiency_of(chip: Accelerator) -> Efficiency:
    """The shares of a chip's generation, or the stand-in whose `calibrated` is False."""
    return EFFICIENCIES.get(chip.name, UNCALIBRATED)
