"""Weights of 8 and 4 bits, unpacked only where and when they are multiplied."""

from course_lib.moe.inference.quantization.codes import NF4, SCHEMES
from course_lib.moe.inference.quantization.files import load_quantized, save_quantized
from course_lib.moe.inference.quantization.modules import PackedExperts, PackedLinear
from course_lib.moe.inference.quantization.packed import PackedMatrix
from course_lib.moe.inference.quantization.quantize import MemoryReport, memory_report, quantize

__all__ = [
    "NF4",
    "SCHEMES",
    "MemoryReport",
    "PackedExperts",
    "PackedLinear",
    "PackedMatrix",
    "load_quantized",
    "memory_report",
    "quantize",
    "save_quantized",
]
