"""Refuse to test in a notebook that has changed how cells, builtins or the checker behave."""

import builtins
import sys
from types import ModuleType
from typing import Any

from course_lib.labkit.failures import Tampered, fail
from course_lib.labkit.wording import EXACT, kind_of

_BUILTIN_FUNCTION: Any = [].append.__class__
_TRUSTED_FUNCTIONS = ("abs", "any", "getattr", "hasattr", "isinstance", "issubclass", "len", "print", "repr", "sum")
_TRUSTED_CLASSES = {"type": kind_of, "int": EXACT[0], "float": EXACT[1], "bool": EXACT[2], "str": EXACT[3]}
_HIDEABLE = {name for name in builtins.__dict__ if not name.startswith("__")}
REMEDY = "Its tests cannot be trusted: remove that code, restart the kernel and run all cells."


def refuse_tampering() -> None:
    """Stop if the notebook has changed how cells, builtins or the checker behave.

    Raises:
        Tampered: Naming what was changed.
    """
    found = [name for name in _TRUSTED_FUNCTIONS if not _is_original(name)]
    found += [name for name, kind in _TRUSTED_CLASSES.items() if builtins.__dict__.get(name) is not kind]
    if found:
        fail(Tampered(f"This notebook redefines Python's own {', '.join(found)}. {REMEDY}"))
    shadowed = sorted({name for file in _checker() for name in vars(file) if name in _HIDEABLE})
    if shadowed:
        fail(Tampered(f"This notebook hides {', '.join(shadowed)} from course_lib.labkit. {REMEDY}"))
    shell = getattr(builtins, "get_ipython", lambda: None)()
    if shell is None:
        return
    if shell.ast_transformers:
        fail(Tampered(f"This notebook rewrites its cells before they run (shell.ast_transformers). {REMEDY}"))
    hooks = [hook for registered in shell.events.callbacks.values() for hook in registered]
    own = [hook for hook in hooks if getattr(hook, "__module__", None) == "__main__"]
    if own or "showtraceback" in shell.__dict__ or "run_cell" in shell.__dict__:
        fail(Tampered(f"This notebook replaces parts of the notebook shell. {REMEDY}"))


def _is_original(name: str) -> bool:
    function: Any = builtins.__dict__.get(name)
    return kind_of(function) is _BUILTIN_FUNCTION and function.__name__ == name and function.__self__ is builtins


def _checker() -> list[ModuleType]:
    return [file for name, file in list(sys.modules.items()) if f"{name}.".startswith("course_lib.labkit.")]
