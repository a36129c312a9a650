"""`nki.language`: allocation, number formats, operators and the convenience functions."""

from typing import Any

from course_lib.nki.constants import MemoryRegion
from course_lib.nki.dtypes import DTYPES
from course_lib.nki.operators import OPS
from course_lib.nki.session import current_core
from course_lib.nki.tensor import DynamicSlice, NKIObject, NkiTensor

sbuf, psum = MemoryRegion.sbuf, MemoryRegion.psum
private_hbm = hbm = MemoryRegion.private_hbm
shared_hbm = MemoryRegion.shared_hbm
globals().update({name if name != "bool" else "bool_": dtype for name, dtype in DTYPES.items()})
globals().update(OPS)
ds = DynamicSlice


def ndarray(shape: Any, dtype: Any, buffer: Any = sbuf, name: str = "", address: Any = None) -> NkiTensor:
    """Fresh memory."""
    return current_core().allocate(shape, dtype, buffer, name, address)
