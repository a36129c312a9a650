"""The core that runs a kernel on this thread.

`nki.language` and `nki.isa` are plain functions without a context argument, so it is kept here; that is the one piece
of state that the official interface forces.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from course_lib.nki.errors import broken_rule

if TYPE_CHECKING:
    from course_lib.nki.session import Core

_thread = threading.local()


def current_core() -> Core:
    """The core that runs a kernel on this thread.

    Raises:
        NkiValidationError: outside a kernel.
    """
    core = getattr(_thread, "core", None)
    if core is None:
        raise broken_rule(
            "an NKI function was called outside a kernel",
            limit="nki.isa and nki.language work while a kernel runs",
            hint="put the call into a function decorated with @nki.jit and run nki.simulate(kernel)(...)",
        )
    return core  # type: ignore[no-any-return]


def is_running() -> bool:
    """Whether a kernel runs on this thread."""
    return getattr(_thread, "core", None) is not None


class running:
    """Makes a core the one that runs on this thread, for the length of a `with` block."""

    def __init__(self, core: Core) -> None:
        self._core, self._before = core, getattr(_thread, "core", None)

    def __enter__(self) -> Core:
        _thread.core = self._core
        return self._core

    def __exit__(self, *about: object) -> None:
        _thread.core = self._before
