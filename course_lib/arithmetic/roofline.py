"""The roofline: how fast an operation can run on a chip, given how many FLOPs it does per byte it moves."""

from dataclasses import dataclass
from typing import Literal

from course_lib.arithmetic.errors import ArithmeticInputError, check_count, check_positive
from course_lib.catalog import Accelerator
from course_lib.catalog import accelerator as find_accelerator


@dataclass(frozen=True)
class RooflinePoint:
    """One operation under one chip's roof.

    Args:
        accelerator: the chip's name.
        dtype: number format of the peak.
        arithmetic_intensity_flops_per_byte: FLOPs per byte moved from or to device memory.
        attainable_flops_per_s: the roof at this intensity.
        attainable_fraction: the same as a share of peak.
        bound: "memory" left of the ridge, "compute" from the ridge on.
        ridge_flops_per_byte: the intensity at which bandwidth stops being the limit.
        peak_flops_per_s: dense peak.
        memory_bandwidth_bytes_per_s: peak bandwidth of device memory.
    """

    accelerator: str
    dtype: str
    arithmetic_intensity_flops_per_byte: float
    attainable_flops_per_s: float
    attainable_fraction: float
    bound: Literal["memory", "compute"]
    ridge_flops_per_byte: float
    peak_flops_per_s: float
    memory_bandwidth_bytes_per_s: float

    def seconds(self, flops: float) -> float:
        """Time for `flops` FLOPs of this intensity, at best."""
        return flops / self.attainable_flops_per_s


def roofline(accelerator: Accelerator | str, arithmetic_intensity: float, dtype: str = "bf16") -> RooflinePoint:
    """Place an operation under a chip's roof: min(peak, intensity * bandwidth).

    Args:
        accelerator: a chip, or the name of one in the catalog.
        arithmetic_intensity: FLOPs per byte of device memory traffic.
        dtype: number format of the arithmetic.

    Returns:
        The attainable rate of one chip and what limits it.

    Raises:
        ArithmeticInputError: for an intensity that is not above 0.
        CatalogError: (a ValueError) for an unknown chip, or a dtype for which it has no peak.

    Source: Williams, Waterman & Patterson 2009, "Roofline: an insightful visual performance model", CACM 52(4).
    """
    check_positive("arithmetic_intensity", arithmetic_intensity, "give FLOPs per byte, e.g. matmul_intensity(m, n, k)")
    spec = as_accelerator(accelerator)
    peak, bandwidth = spec.peak_flops(dtype), spec.memory_bandwidth_bytes_per_s
    ridge = peak / bandwidth
    attainable = min(peak, arithmetic_intensity * bandwidth)
    return RooflinePoint(
        accelerator=spec.name,
        dtype=dtype,
        arithmetic_intensity_flops_per_byte=arithmetic_intensity,
        attainable_flops_per_s=attainable,
        attainable_fraction=attainable / peak,
        bound="memory" if arithmetic_intensity < ridge else "compute",
        ridge_flops_per_byte=ridge,
        peak_flops_per_s=peak,
        memory_bandwidth_bytes_per_s=bandwidth,
    )


def matmul_intensity(m: int, n: int, k: int, bytes_per_element: float = 2) -> float:
    """FLOPs per byte of an (m, k) by (k, n) product that reads each operand once and writes the result once.

    Args:
        m, n, k: the product's sizes; m is the number of tokens when a weight of (n, k) meets activations.
        bytes_per_element: of all three matrices.

    Returns:
        2 m n k / (bytes_per_element (m k + k n + m n)) in FLOPs per byte; n / bytes_per_element times 2/3 for a cube.

    Raises:
        ArithmeticInputError: for a size below 1.

    Source: Williams et al. 2009; the traffic is the least that any cache can reach.
    """
    for name, size in (("m", m), ("n", n), ("k", k)):
        check_count(name, size)
    check_positive("bytes_per_element", bytes_per_element, "give 2 for bf16, 1 for fp8, 4 for fp32")
    return 2 * m * n * k / (bytes_per_element * (m * k + k * n + m * n))


def as_accelerator(chip: Accelerator | str) -> Accelerator:
    """The accelerator itself, or the catalog's accelerator of that name.

    Raises:
        ArithmeticInputError: when it is neither.
        UnknownNameError: (a ValueError) when the catalog has no such name.
    """
    if isinstance(chip, Accelerator):
        return chip
    if isinstance(chip, str):
        return find_accelerator(chip)
    raise ArithmeticInputError.of(
        "accelerator", chip, "is neither an Accelerator nor a name", "pass accelerator('h100') or 'h100'"
    )
