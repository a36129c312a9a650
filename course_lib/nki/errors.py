"""The simulator's errors: what is wrong, where in the kernel, the limit, on which generation, and what to try."""

from __future__ import annotations

import os
import re
import sys
from types import CodeType, FrameType

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class NkiValidationError(ValueError, AssertionError):
    """A kernel breaks a rule of the machine.

    It is an AssertionError as well because the official simulator raises that for several of these rules, and kernels'
    own tests expect it.
    """


_NAMES: dict[str, str] = {}
_LIBRARY = re.compile(r"[/\\\\]site-packages[/\\\\](numpy|torch)[/\\\\]")


def _kernel_file(path: str) -> str:
    """A source file's name when it may hold kernels, empty for the simulator's own files."""
    found = _NAMES.get(path)
    if found is None:
        # The kernels that ship with the course live below this folder and are kernels all the same.
        own = path.startswith(_HERE) and not path.startswith(_HERE + "kernels" + os.sep)
        own = own or _LIBRARY.search(path) is not None  # np.sum(tile) reaches the tile by way of NumPy's own files
        found = "" if own else _cell(path) or os.path.basename(path)
        if not found.startswith("In["):  # a cell's number changes when it runs again
            _NAMES[path] = found
    return found


def _cell(path: str) -> str:
    """`In[5]`, as tracebacks call a notebook's cell; empty for a file."""
    shell = sys.modules.get("IPython")
    if shell is None or ("ipykernel" not in path and "ipython-input" not in path):
        return ""
    named = shell.get_ipython().compile.format_code_name(path)
    return str(named[1]) if named else ""


def kernel_frame(frame: FrameType | None = None) -> FrameType | None:
    """The nearest frame that is not the simulator's own: the kernel's line."""
    frame = frame or sys._getframe(1)
    known = _NAMES.get
    while frame is not None:
        path = frame.f_code.co_filename
        name = known(path)
        if name or (name is None and _kernel_file(path)):
            return frame
        frame = frame.f_back
    return None


def kernel_line(frame: FrameType | None = None) -> str:
    """`file.py:12` of the kernel's current line, empty when there is no kernel on the stack."""
    found = kernel_frame(frame or sys._getframe(1))
    return f"{_kernel_file(found.f_code.co_filename)}:{found.f_lineno}" if found is not None else ""


class Lines:
    """`kernel_line` for one run, in which the same places come up again and again."""

    def __init__(self) -> None:
        # The code objects are kept with their lines, so that no other one can take over an id.
        self._known: dict[tuple[int, int], tuple[CodeType, str]] = {}

    def of(self, frame: FrameType | None) -> str:
        """The line at which the nearest frame of a kernel is, empty when there is none."""
        found = kernel_frame(frame)
        if found is None:
            return ""
        code = found.f_code
        place = id(code), found.f_lasti
        known = self._known.get(place)
        if known is None:
            known = self._known[place] = code, kernel_line(found)
        return known[1]


def broken_rule(what: str, *, limit: str = "", generation: str = "", hint: str = "") -> NkiValidationError:
    """Builds the error for a broken rule.

    Args:
        what: what is wrong, with the value.
        limit: the rule or limit that it breaks.
        generation: where the rule holds (`gen2`, `gen2 and gen3`); empty for everywhere.
        hint: what to try.
    """
    where = kernel_line(sys._getframe(1))
    parts = [f"{where}: {what}" if where else what]
    if limit:
        parts.append(f"Limit{f' on {generation}' if generation else ''}: {limit}")
    if hint:
        parts.append(f"Try: {hint}")
    return NkiValidationError(". ".join(part.rstrip(".") for part in parts) + ".")
