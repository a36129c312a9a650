"""`nki.language`: allocation, number formats, operators, and functions that issue one or a few instructions each.

Source: Neuron documentation 2.32, `nki.language`.
"""

import builtins as _builtins
from typing import Any

from course_lib.nki import legacy as _legacy
from course_lib.nki import unsupported as _unsupported
from course_lib.nki.constants import MemoryRegion
from course_lib.nki.dtypes import DTYPES as _DTYPES
from course_lib.nki.dtypes import DType
from course_lib.nki.language import rounding as _rounding  # noqa: F401 - sets the calls of its operators
from course_lib.nki.language.allocation import (
    empty_like,
    full,
    is_on_chip,
    is_psum,
    is_sbuf,
    ndarray,
    ones,
    rand,
    random_seed,
    shared_constant,
    shared_identity_matrix,
    zeros,
    zeros_like,
)
from course_lib.nki.language.elementwise import dropout, where
from course_lib.nki.language.loops import (
    affine_range,
    dynamic_range,
    fori_loop,
    sequential_range,
    static_range,
    while_loop,
)
from course_lib.nki.language.matrix import matmul, transpose
from course_lib.nki.language.memory import (
    broadcast_to,
    expand_dims,
    gather_flattened,
    load,
    load_transpose2d,
    store,
)
from course_lib.nki.language.normalise import rms_norm, softmax
from course_lib.nki.language.program import device_print, no_reorder, num_programs, program_id, program_ndim
from course_lib.nki.language.reductions import all, max, mean, min, prod, sum, var
from course_lib.nki.language.tile_size import tile_size
from course_lib.nki.objects import NKIObject
from course_lib.nki.operators import OPS as _OPS
from course_lib.nki.tensor import DynamicSlice, NkiTensor, is_hbm

sbuf, psum = MemoryRegion.sbuf, MemoryRegion.psum
private_hbm = hbm = MemoryRegion.private_hbm
shared_hbm = MemoryRegion.shared_hbm
globals().update({f"{name}_" if name == "bool" else name: dtype for name, dtype in _DTYPES.items()})
globals().update(_OPS)  # add, exp and all the others; `copy` too, which is both an operator and a function
ds = DynamicSlice
dtype = DType
tensor = ndarray  # the name that annotations of the official kernel library use
# Kernels of the official library use these two as well.
range = _builtins.range
bool = globals()["bool_"]

__all__ = [
    *(f"{_name}_" if _name == "bool" else _name for _name in _DTYPES),
    *_OPS,
    "DType",
    "DynamicSlice",
    "MemoryRegion",
    "NKIObject",
    "NkiTensor",
    "affine_range",
    "all",
    "broadcast_to",
    "device_print",
    "dropout",
    "ds",
    "dtype",
    "dynamic_range",
    "empty_like",
    "expand_dims",
    "fori_loop",
    "full",
    "gather_flattened",
    "hbm",
    "is_hbm",
    "is_on_chip",
    "is_psum",
    "is_sbuf",
    "load",
    "load_transpose2d",
    "matmul",
    "max",
    "mean",
    "min",
    "ndarray",
    "no_reorder",
    "num_programs",
    "ones",
    "private_hbm",
    "prod",
    "program_id",
    "program_ndim",
    "psum",
    "rand",
    "random_seed",
    "rms_norm",
    "sbuf",
    "sequential_range",
    "shared_constant",
    "shared_hbm",
    "shared_identity_matrix",
    "softmax",
    "static_range",
    "store",
    "sum",
    "tensor",
    "tile_size",
    "transpose",
    "var",
    "where",
    "while_loop",
    "zeros",
    "zeros_like",
]


def __getattr__(name: str) -> Any:
    """Names that are missing here, and names of the old interface, say so."""
    _unsupported.refuse_missing("language", name)
    _legacy.refuse("language", name)
    raise AttributeError(f"module 'nki.language' has no attribute {name!r}")
