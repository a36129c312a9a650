"""A CPU simulator of AWS's Neuron Kernel Interface (NKI): kernels run unmodified, the machine's rules are enforced.

Source: Neuron documentation 2.32 and 2.33 (NKI 0.6 and 0.7).
"""

import importlib as _importlib
from typing import Any

from course_lib.nki import legacy as _legacy
from course_lib.nki.activate import Activation, activate, deactivate
from course_lib.nki.errors import NkiValidationError
from course_lib.nki.kernel import Kernel, jit, simulate
from course_lib.nki.options import Options
from course_lib.nki.profile import Profile, profile

__all__ = [
    "Activation",
    "Kernel",
    "NkiValidationError",
    "Options",
    "Profile",
    "activate",
    "collectives",
    "deactivate",
    "dtype",
    "isa",
    "jit",
    "language",
    "profile",
    "simulate",
    "simulator",
    "typing",
]
_ON_DEMAND = ("collectives", "dtype", "isa", "kernels", "language", "simulator", "typing", "unsupported")


def __getattr__(name: str) -> Any:
    """Submodules by their name alone, and what the old interface's names became."""
    if name in _ON_DEMAND:
        return _importlib.import_module(f"course_lib.nki.{name}")
    _legacy.refuse("", name)
    raise AttributeError(f"module 'nki' has no attribute {name!r}")
