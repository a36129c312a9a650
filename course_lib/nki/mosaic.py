"""A matrix in HBM that is owed its parts: products that tiles brought there one by one, computed as few large ones.

A CPU multiplies two whole matrices faster than it does the tiles that a kernel cuts them into. So a product on its way
to HBM that nobody has looked at stays owed, and when somebody looks, neighbours whose operands are neighbours too are
computed together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from course_lib.nki import owed
from course_lib.nki.owed import Owed, Product, Rows, lend_to
from course_lib.nki.tensor import NkiTensor

_FLOAT32 = np.dtype(np.float32)


class Part:
    """`matrix[row : row + height, column : column + width] = a.T @ b`."""

    __slots__ = ("a", "b", "column", "height", "row", "width")

    def __init__(self, row: int, column: int, a: Rows, b: Rows) -> None:
        self.row, self.column, self.a, self.b = row, column, a, b
        self.height, self.width = a.shape[1], b.shape[1]

    def joined_right(self, other: Part) -> Part | None:
        """Both as one, if `other` lies to the right and has the same left operand."""
        beside = other.row == self.row and other.column == self.column + self.width
        if not beside or not _same(self.a, other.a):
            return None
        b = _widened(self.b, other.b)
        return Part(self.row, self.column, self.a, b) if b is not None else None

    def joined_below(self, other: Part) -> Part | None:
        """Both as one, if `other` lies below and has the same right operand."""
        below = other.column == self.column and other.row == self.row + self.height
        if not below or not _same(self.b, other.b):
            return None
        a = _widened(self.a, other.a)
        return Part(self.row, self.column, a, self.b) if a is not None else None


def _same(one: Rows, other: Rows) -> bool:
    return one.start == other.start and one.shape == other.shape and one.alike(other)


def _widened(one: Rows, other: Rows) -> Rows | None:
    """The rows of both, if those of `other` go on where those of `one` end."""
    rows, columns = one.shape
    if other.start != one.start + columns * one.view.strides[1] or other.shape[0] != rows or not one.alike(other):
        return None
    return Rows(one.lender, one.view, one.start, (rows, columns + other.shape[1]))


class Mosaic:
    """The parts of one matrix.

    Args:
        before: what the matrix was owed before; None when it holds values.
    """

    __slots__ = ("_before", "_cell", "_parts")

    def __init__(self, before: Owed | None) -> None:
        self._before = before
        self._parts: dict[tuple[int, int], Part] = {}
        self._cell = (0, 0)

    def take(self, part: Part) -> bool:
        """Adds a part; False when it could overlap one that is already there."""
        if not self._parts:
            self._cell = (part.height, part.width)
        height, width = self._cell
        if part.row % height or part.column % width or part.height > height or part.width > width:
            return False
        place = (part.row // height, part.column // width)
        known = self._parts.get(place)
        if known is not None and (known.height > part.height or known.width > part.width):
            return False
        self._parts[place] = part
        return True

    def pay(self, array: np.ndarray) -> None:
        parts = self._parts.values()
        if self._before is not None and sum(part.height * part.width for part in parts) < array.size:
            self._before.pay(array)
        matrix = array.reshape(-1, array.shape[-1])
        for part in _joined(parts):
            rows, columns = slice(part.row, part.row + part.height), slice(part.column, part.column + part.width)
            owed.add_product(matrix[rows, columns], part.a.array, part.b.array, False)


def _joined(parts: Iterable[Part]) -> list[Part]:
    """The same parts in fewer pieces: rows of them to strips, then strips to blocks."""
    strips = _chained(sorted(parts, key=lambda part: (part.row, part.column)), Part.joined_right)
    return _chained(sorted(strips, key=lambda strip: (strip.column, strip.row)), Part.joined_below)


def _chained(pieces: Iterable[Part], join: Callable[[Part, Part], Part | None]) -> list[Part]:
    """Pieces, each joined to the one before where that can be done."""
    made: list[Part] = []
    for piece in pieces:
        both = join(made[-1], piece) if made else None
        if both is None:
            made.append(piece)
        else:
            made[-1] = both
    return made


def owe_store(dst: NkiTensor, src: NkiTensor) -> bool:
    """Puts the store of a product into HBM off; False when it has to be done at once.

    As for loads, HBM that other cores see, or that the caller passed in twice, has to hold its values.
    """
    held = src.storage.owed
    if type(held) is not Product or held.adds or not held.whole or src.memory is not src.base:
        return False
    storage, memory = dst.storage, dst.memory
    if (
        dst.indirection is not None
        or storage.shared
        or storage.aliased
        or storage.on_chip
        or dst.shape != src.shape
        or held.a.view.dtype != _FLOAT32  # others are converted part by part, which bounds what that takes
        or held.b.view.dtype != _FLOAT32
        or held.a.lender is storage
        or held.b.lender is storage
    ):
        return False
    pitch = dst.base.shape[-1] * memory.itemsize
    if memory.strides != (pitch, memory.itemsize):
        return False
    row, within = divmod(dst.start, pitch)
    part = Part(row, within // memory.itemsize, held.a, held.b)
    if type(storage.owed) is not Mosaic or not storage.owed.take(part):
        before = storage.owed
        if type(before) is Mosaic:
            storage.settle()
            before = None
        storage.owed = mosaic = Mosaic(before)
        if not mosaic.take(part):  # off the grid that its own size makes
            storage.owed = before
            return False
    lend_to(storage, held.a, held.b)
    return True
