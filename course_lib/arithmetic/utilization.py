"""MFU and HFU: the share of a chip's peak that a run really used."""

from course_lib.arithmetic.errors import ArithmeticInputError, check_count, check_positive
from course_lib.arithmetic.roofline import as_accelerator
from course_lib.catalog import Accelerator


def mfu(
    model_flops: float,
    seconds: float,
    accelerators: int = 1,
    *,
    accelerator: Accelerator | str | None = None,
    dtype: str = "bf16",
    peak_flops_per_s: float | None = None,
) -> float:
    """Model-FLOPs utilization: FLOPs that the mathematics needs, over what the chips could have done meanwhile.

    Args:
        model_flops: forward and backward FLOPs without recomputation, of a step or of a whole run.
        seconds: the time that they took.
        accelerators: chips that worked on them.
        accelerator: the chip, or its name in the catalog; its dense peak for `dtype` is used.
        dtype: number format of the peak.
        peak_flops_per_s: peak of one chip, instead of `accelerator`.

    Returns:
        A fraction between 0 and 1.

    Raises:
        ArithmeticInputError: when the inputs imply more than the peak, or no peak (or two) is given.
        CatalogError: (a ValueError) for an unknown chip or dtype.

    Source: Chowdhery et al. 2022 (arXiv:2204.02311) section 4.1 and appendix B.
    """
    return _utilization("model_flops", model_flops, seconds, accelerators, accelerator, dtype, peak_flops_per_s)


def hfu(
    hardware_flops: float,
    seconds: float,
    accelerators: int = 1,
    *,
    accelerator: Accelerator | str | None = None,
    dtype: str = "bf16",
    peak_flops_per_s: float | None = None,
) -> float:
    """Hardware-FLOPs utilization: as `mfu`, with recomputed activations counted as work.

    Args:
        hardware_flops: all FLOPs that ran, recomputation included.
        seconds, accelerators, accelerator, dtype, peak_flops_per_s: as in `mfu`.

    Returns:
        A fraction between 0 and 1; never below the MFU of the same run.

    Raises:
        ArithmeticInputError: as `mfu`.

    Source: Chowdhery et al. 2022 (arXiv:2204.02311) section 4.1;
        Korthikanti et al. 2022 (arXiv:2205.05198) section 6.3.
    """
    return _utilization("hardware_flops", hardware_flops, seconds, accelerators, accelerator, dtype, peak_flops_per_s)


def _utilization(
    name: str,
    flops: float,
    seconds: float,
    accelerators: int,
    accelerator: Accelerator | str | None,
    dtype: str,
    peak_flops_per_s: float | None,
) -> float:
    check_positive(name, flops)
    check_positive("seconds", seconds)
    check_count("accelerators", accelerators)
    if (accelerator is None) == (peak_flops_per_s is None):
        raise ArithmeticInputError.of(
            "peak_flops_per_s",
            peak_flops_per_s,
            "and accelerator: exactly one of the two must be given",
            "name the chip (accelerator='h100') or its peak (peak_flops_per_s=989e12)",
        )
    peak = peak_flops_per_s if accelerator is None else as_accelerator(accelerator).peak_flops(dtype)
    assert peak is not None  # one of the two is given
    check_positive("peak_flops_per_s", peak)
    share = flops / (seconds * accelerators * peak)
    if share > 1:
        raise ArithmeticInputError.of(
            name,
            flops,
            f"in {seconds:g} s is {share:.3g} times what {accelerators} chips of {peak:g} FLOP/s can do",
            "check the units: FLOPs, seconds, number of chips, FLOP/s of one chip",
        )
    return share
