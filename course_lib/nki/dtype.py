"""`nki.dtype`: the number formats of `nki.language` by themselves, as the official kernel library imports them."""

from __future__ import annotations

from course_lib.nki.dtypes import DTYPES, DType

globals().update({f"{_name}_" if _name == "bool" else _name: _dtype for _name, _dtype in DTYPES.items()})

__all__ = ["DType", *(f"{_name}_" if _name == "bool" else _name for _name in DTYPES)]
