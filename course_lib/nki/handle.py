"""What an instruction returns: a handle for scheduling dependencies."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from course_lib.nki.session import Core


class NkiInstruction:
    """Handle of an issued instruction; `a.depends_on(b)` makes `a` wait for `b` in the cost model."""

    __slots__ = ("_core", "index")

    def __init__(self, core: Core, index: int) -> None:
        self._core, self.index = core, index

    def depends_on(self, *producers: NkiInstruction) -> NkiInstruction:
        """Adds scheduling dependencies; returns itself so that calls chain."""
        if self._core.options.record:
            self._core.instructions[self.index].depends_on.extend(producer.index for producer in producers)
        return self
