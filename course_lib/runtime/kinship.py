"""What Linux can do so that no process is left behind: end a child with its parent, hand orphans to an ancestor.

Elsewhere both do nothing, and the launcher relies on process groups and closed connections alone.
"""

from __future__ import annotations

import ctypes
import signal
import sys

# linux/prctl.h
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def end_with_parent() -> None:
    """Have this process killed when its parent dies, whatever kills it."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value}) was refused")
