"""Microscaling (MX) formats: blocks of 32 numbers of 4 or 8 bits that share a power of two.

On a NeuronCore a block is 8 partitions by the 4 numbers of a packed element. Source: OCP Microscaling Formats (MX)
Specification 1.0; Neuron documentation 2.32, `nki.isa.quantize_mx`, "MXFP matrix multiplication with NKI".
"""

from __future__ import annotations

import ml_dtypes
import numpy as np

from course_lib.nki.dtypes import DType
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import raw, store

BIAS = 127  # of a scale's exponent
BLOCK_PARTITIONS = 8
ELEMENTS = {
    "float8_e5m2_x4": np.dtype(ml_dtypes.float8_e5m2),
    "float8_e4m3fn_x4": np.dtype(ml_dtypes.float8_e4m3fn),
    "float4_e2m1fn_x4": None,
}
MAX_EXPONENT = {"float8_e5m2_x4": 15, "float8_e4m3fn_x4": 8}
SCALES = ("float8_e8m0fnu", "uint8")
_FLOAT4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], dtype=np.float32)
_LANES = np.arange(4, dtype=np.uint16) * 4


def unpack(values: np.ndarray, dtype: DType) -> np.ndarray:
    """Packed elements as float32, with a last dimension of 4: the lowest bits come first."""
    element = ELEMENTS[dtype]
    if element is None:
        return np.asarray(_FLOAT4[(values[..., None] >> _LANES) & np.uint16(0xF)])
    return np.asarray(np.ascontiguousarray(values)[..., None].view(element).astype(np.float32))


def pack(values: np.ndarray, dtype: DType) -> np.ndarray:
    """Float32 numbers, last dimension a multiple of 4, rounded and packed into elements of 8-bit floats."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(values.astype(ELEMENTS[dtype])).view(dtype.numpy)


def scale_rows(partitions: int) -> np.ndarray:
    """Where the scales of `partitions` partitions lie: four partitions from the start of each quadrant on."""
    block = np.arange(partitions // BLOCK_PARTITIONS)
    return np.asarray(block // 4 * 32 + block % 4)


def read_exponents(scale: NkiTensor, partitions: int) -> np.ndarray:
    """The biased exponents (blocks, columns) for data of so many partitions, as uint8."""
    values = raw(scale).reshape(scale.shape[0], -1)[scale_rows(partitions)]
    if scale.dtype == "uint8":
        return np.asarray(values)
    if values.dtype.itemsize == 1:
        return np.ascontiguousarray(values).view(np.uint8)
    # NKI_PRECISE_FP=0 keeps the powers of two themselves.
    exponents = np.frexp(values)[1] - 1 + BIAS
    return np.where(np.isnan(values), 255, exponents).astype(np.uint8)


def write_exponents(scale: NkiTensor, exponents: np.ndarray) -> None:
    """Writes biased exponents (blocks, columns), four partitions in each quadrant; other partitions stay."""
    values = exponents
    if scale.dtype != "uint8":
        values = exponents.view(ml_dtypes.float8_e8m0fnu).astype(scale.array.dtype)
    for first in range(0, len(exponents), 4):
        quadrant = scale[first * 8 : first * 8 + 4]
        store(quadrant, values[first : first + 4].reshape(quadrant.shape))


def factors(exponents: np.ndarray) -> np.ndarray:
    """Powers of two as float32; 255 stands for NaN."""
    with np.errstate(invalid="ignore"):
        powers = np.ldexp(np.float32(1), exponents.astype(np.int32) - BIAS).astype(np.float32)
    return np.where(exponents == 255, np.float32(np.nan), powers)


def block_exponents(values: np.ndarray, largest: int) -> np.ndarray:
    """The biased exponents (blocks, columns) that `quantize_mx` chooses for (P, N) float32 numbers.

    Args:
        values: the numbers.
        largest: largest exponent of the element format.
    """
    rows, columns = values.shape
    blocks = np.abs(values).reshape(rows // BLOCK_PARTITIONS, BLOCK_PARTITIONS, columns // 4, 4)
    peak = blocks.max(axis=(1, 3))
    exponent = np.frexp(peak)[1] - 1
    exponent = np.where(np.isfinite(peak), exponent, 128)  # as the exponent field of an infinity reads
    # One above the specification's example, so that rounding up the largest number never overflows.
    biased = np.clip(exponent - (largest - 1) + BIAS, 0, 254)
    return np.where(peak == 0, 0, biased).astype(np.uint8)


def dequantised(data: NkiTensor, scale: NkiTensor) -> np.ndarray:
    """Packed data (P, N) times its scales, in float32, (4 P, N): the four numbers of an element are rows."""
    partitions, columns = data.shape[0], data.size // data.shape[0]
    numbers = unpack(raw(data).reshape(partitions, columns), data.dtype)
    powers = factors(read_exponents(scale, partitions))
    numbers = numbers.reshape(partitions // BLOCK_PARTITIONS, BLOCK_PARTITIONS, columns, 4)
    scaled = numbers * powers[:, None, :, None]
    return np.asarray(scaled.reshape(partitions, columns, 4).transpose(0, 2, 1).reshape(4 * partitions, columns))
