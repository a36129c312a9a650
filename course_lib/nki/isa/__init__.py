"""`nki.isa`: one function for each instruction of the hardware."""

from typing import Any

from course_lib.nki import legacy as _legacy
from course_lib.nki import unsupported as _unsupported
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
from course_lib.nki.isa.activate2 import activate2, exponential
from course_lib.nki.isa.activation import activation, activation_reduce
from course_lib.nki.isa.copy import memset, tensor_copy
from course_lib.nki.isa.cores import core_barrier, sendrecv
from course_lib.nki.isa.dma import dma_copy
from course_lib.nki.isa.dma_compute import dma_compute
from course_lib.nki.isa.dma_transpose import dma_transpose
from course_lib.nki.isa.elementwise import reciprocal, tensor_tensor
from course_lib.nki.isa.gather import local_gather, nc_n_gather
from course_lib.nki.isa.iota import affine_select, iota
from course_lib.nki.isa.matmul import nc_matmul
from course_lib.nki.isa.mx import nc_matmul_mx, quantize_mx
from course_lib.nki.isa.nonzero import nonzero_with_count
from course_lib.nki.isa.predicated import tensor_copy_predicated
from course_lib.nki.isa.randomness import dropout, rand2, rand_get_state, rand_set_state, rng, set_rng_seed
from course_lib.nki.isa.reduce import tensor_partition_reduce, tensor_reduce
from course_lib.nki.isa.registers import register_alloc, register_load, register_move, register_store
from course_lib.nki.isa.scan import tensor_scalar_cumulative, tensor_tensor_scan
from course_lib.nki.isa.select import range_select, select_reduce
from course_lib.nki.isa.sequence import sequence_bounds
from course_lib.nki.isa.shuffle import nc_stream_shuffle
from course_lib.nki.isa.sort import max8, nc_find_index8, nc_match_replace8
from course_lib.nki.isa.statistics import bn_aggr, bn_stats
from course_lib.nki.isa.tensor_scalar import scalar_tensor_tensor, tensor_scalar
from course_lib.nki.isa.tensor_scalar_reduce import tensor_scalar_reduce
from course_lib.nki.isa.topk import topk
from course_lib.nki.isa.transpose import nc_transpose
from course_lib.nki.isa.version import get_nc_sub_version, get_nc_version
from course_lib.nki.registers import VirtualRegister
from course_lib.nki.session import NkiInstruction

# Deprecated spellings, which published kernels still use.
tensor_engine, vector_engine, scalar_engine = engine.tensor, engine.vector, engine.scalar
gpsimd_engine, unknown_engine = engine.gpsimd, engine.unknown

__all__ = [
    "NkiInstruction",
    "NkiValidationError",
    "VirtualRegister",
    "activate2",
    "activation",
    "activation_reduce",
    "affine_select",
    "bn_aggr",
    "bn_stats",
    "core_barrier",
    "dge_mode",
    "dma_compute",
    "dma_copy",
    "dma_engine",
    "dma_transpose",
    "dropout",
    "engine",
    "exponential",
    "get_nc_sub_version",
    "get_nc_version",
    "gpsimd_engine",
    "iota",
    "local_gather",
    "matmul_perf_mode",
    "max8",
    "memset",
    "nc_find_index8",
    "nc_match_replace8",
    "nc_matmul",
    "nc_matmul_mx",
    "nc_n_gather",
    "nc_stream_shuffle",
    "nc_transpose",
    "nc_version",
    "nonzero_with_count",
    "oob_mode",
    "quantize_mx",
    "rand2",
    "rand_get_state",
    "rand_set_state",
    "range_select",
    "reciprocal",
    "reduce_cmd",
    "register_alloc",
    "register_load",
    "register_move",
    "register_store",
    "rng",
    "scalar_engine",
    "scalar_tensor_tensor",
    "select_reduce",
    "sendrecv",
    "sequence_bounds",
    "set_rng_seed",
    "tensor_copy",
    "tensor_copy_predicated",
    "tensor_engine",
    "tensor_partition_reduce",
    "tensor_reduce",
    "tensor_scalar",
    "tensor_scalar_cumulative",
    "tensor_scalar_reduce",
    "tensor_tensor",
    "tensor_tensor_scan",
    "topk",
    "unknown_engine",
    "vector_engine",
]


def __getattr__(name: str) -> Any:
    """Names that are missing here, and names of the old interface, say so."""
    _unsupported.refuse_missing("isa", name)
    _legacy.refuse("isa", name)
    raise AttributeError(f"module 'nki.isa' has no attribute {name!r}")
