"""`nki.isa`: one function for each instruction of the hardware."""

from course_lib.nki.constants import (
    dge_mode,
    dma_engine,
    engine,
    matmul_perf_mode,
    nc_version,
    oob_mode,
    reduce_cmd,
)
from course_lib.nki.errors import NkiValidationError
from course_lib.nki.isa.copy import memset, tensor_copy
from course_lib.nki.isa.dma import dma_copy
from course_lib.nki.isa.elementwise import tensor_tensor
from course_lib.nki.isa.matmul import nc_matmul
from course_lib.nki.session import NkiInstruction

__all__ = [
    "NkiInstruction",
    "NkiValidationError",
    "dge_mode",
    "dma_copy",
    "dma_engine",
    "engine",
    "matmul_perf_mode",
    "memset",
    "nc_matmul",
    "nc_version",
    "oob_mode",
    "reduce_cmd",
    "tensor_copy",
    "tensor_tensor",
]
