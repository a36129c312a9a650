"""Views that leave their memory: making one is legal, using it is not.

Kernels make such views at ragged edges, before they find out that there is nothing left to do.
"""

from __future__ import annotations

from typing import NoReturn

from course_lib.nki.errors import NkiValidationError
from course_lib.nki.tensor import NkiTensor


class OutOfReach(NkiTensor):
    """A view beyond the end of its storage: it knows its shape, and raises when an instruction asks for its memory."""

    __slots__ = ("_error",)

    def __init__(self, base: NkiTensor, shape: tuple[int, ...], error: NkiValidationError) -> None:
        self._error = error
        self.storage, self.dtype, self.buffer, self.indirection = base.storage, base.dtype, base.buffer, None
        self.shape = shape

    def _raise(self) -> NoReturn:
        raise self._error

    array = memory = base = root = property(_raise)
