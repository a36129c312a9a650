"""`activate()`: makes `import nki` find this simulator, unless the real package is installed.

After it, `import nki; import nki.language as nl; import nki.isa as nisa` work as on a Trainium.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib import metadata
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import NamedTuple

from course_lib.nki.legacy import NeuronxccFinder
from course_lib.runtime import is_stub

HOME = "course_lib.nki"
# Registered at once; any other module of this package is found when it is imported.
MODULES = ("language", "isa", "isa.constants", "collectives", "typing", "dtype", "simulator")


class Activation(NamedTuple):
    """What `import nki` means from now on.

    Attributes:
        simulated: whether it is this simulator.
        message: the same in words.
    """

    simulated: bool
    message: str


def activate(*, quiet: bool = False) -> Activation:
    """Registers the simulator as `nki`, unless AWS's own package is installed, which then stays.

    AWS's stub on PyPI (`nki` 0.0.1, whose text says WRONG PACKAGE) counts as not installed. Calling this twice changes
    nothing.

    Args:
        quiet: don't print the message.

    Returns:
        What `import nki` means now.
    """
    found = _activate()
    if not quiet:
        print(found.message)
    return found


def deactivate() -> None:
    """Undoes `activate`; modules that imported the simulator keep it."""
    for name in [name for name in sys.modules if name == "nki" or name.startswith("nki.")]:
        if sys.modules[name].__name__.startswith(HOME):
            del sys.modules[name]
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _AliasFinder | NeuronxccFinder)]


def _activate() -> Activation:
    known = sys.modules.get("nki")
    version, stub = _installed()
    if known is not None and known.__name__ != HOME and _is_real(known):
        return Activation(False, "nki is imported already, and it is AWS's own package: it is used, not the simulator.")
    if version and not stub:
        return Activation(
            False,
            f"AWS's nki {version} is installed: it is used, not the simulator. The simulator is course_lib.nki.",
        )
    _register()
    reason = f"; the installed nki {version} is PyPI's empty stub (WRONG PACKAGE) and is passed over" if stub else ""
    return Activation(True, f"import nki now means the CPU simulator course_lib.nki{reason}.")


def _installed() -> tuple[str, bool]:
    """Version of the installed distribution `nki`, empty when there is none, and whether it is the stub."""
    try:
        return metadata.version("nki"), is_stub("nki")
    except metadata.PackageNotFoundError:
        return "", False


def _is_real(module: ModuleType) -> bool:
    """Whether a module has the interface; a folder that happens to be called nki, or the stub, has not."""
    return hasattr(module, "jit")


def _register() -> None:
    sys.modules["nki"] = importlib.import_module(HOME)
    for name in MODULES:
        full = f"{HOME}.{name}"
        if find_spec(full) is not None:
            sys.modules[f"nki.{name}"] = importlib.import_module(full)
    if not any(isinstance(finder, _AliasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AliasFinder())
        sys.meta_path.append(NeuronxccFinder())


class _AliasFinder(MetaPathFinder):
    """Finds `nki.x` as `course_lib.nki.x`, so that no module is loaded a second time under another name."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of an alias, or None for other names."""
        if not fullname.startswith("nki.") or sys.modules.get("nki") is not sys.modules.get(HOME):
            return None
        full = f"{HOME}.{fullname.removeprefix('nki.')}"
        if find_spec(full) is None:
            return None
        return ModuleSpec(fullname, _AliasLoader(full))


class _AliasLoader(Loader):
    """Hands out the module under its own name."""

    def __init__(self, full: str) -> None:
        self._full = full
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The one module."""
        found = importlib.import_module(self._full)
        self._spec = found.__spec__
        return found

    def exec_module(self, module: ModuleType) -> None:
        """It ran already; its own spec, which the import machinery replaced, is put back."""
        module.__spec__ = self._spec
