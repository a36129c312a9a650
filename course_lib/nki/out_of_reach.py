"""Views that leave their memory or hold no element: making one is legal, using it is not.

Kernels make such views at ragged edges and for cores without work, before they find out that nothing is left to do.
"""

from __future__ import annotations

from typing import NoReturn

from course_lib.nki.errors import NkiValidationError
from course_lib.nki.tensor import NkiTensor


class OutOfReach(NkiTensor):
    """A view without memory: it knows its shape, and raises when an instruction asks for more."""

    __slots__ = ("_error",)

    def __init__(self, base: NkiTensor, shape: tuple[int, ...], error: NkiValidationError) -> None:
        self._error = error
        self.storage, self.dtype, self.buffer, self.indirection = base.storage, base.dtype, base.buffer, None
        self.shape = shape

    def _raise(self) -> NoReturn:
        raise self._error

    array = memory = base = root = size = start = box = outline = views = property(_raise)
