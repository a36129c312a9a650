"""Accumulation in PSUM: which matmul overwrites a region and which adds to it.

Source: Neuron documentation 2.32, `nki.isa.nc_matmul`, "Accumulation mode".
"""

from __future__ import annotations

from course_lib.nki.tensor import NkiTensor


def accumulates(dst: NkiTensor, wanted: bool | None) -> bool:
    """Whether a matmul into `dst` adds to what is there, and notes that it wrote.

    Args:
        dst: region of a PSUM tensor.
        wanted: the instruction's `accumulate`; None decides by whether the region was written before.
    """
    regions = dst.storage.psum_regions
    array = dst.array
    key = (array.__array_interface__["data"][0], array.shape, array.strides)
    before = key in regions
    regions[key] = "matmul"
    return before if wanted is None else bool(wanted)
