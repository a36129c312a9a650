"""Find functions of a package whose code in memory is not the code on disk: a patched simulator measures nothing."""

import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

_CLASS: Any = ().__class__.__class__
# What dataclasses and named tuples write for a class; their code stands in no file.
_GENERATED = {
    "__init__", "__new__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__", "__replace__",
    "__lt__", "__le__", "__gt__", "__ge__",
}  # fmt: skip


def changed(packages: tuple[str, ...]) -> list[str]:
    """Names of functions and methods under `packages` that were replaced after they were loaded.

    Values that are not functions (a table of costs, say) are not compared.
    """
    on_disk: dict[str, set[CodeType]] = {}
    homes = {getattr(module, "__file__", None): name for name, module in list(sys.modules.items())}
    found = []
    loaded: list[tuple[str, Any]] = sorted(sys.modules.items())
    for name, module in loaded:
        if not f"{name}.".startswith(tuple([f"{package}." for package in packages])):
            continue
        if not isinstance(module, ModuleType):
            found.append(name)
            continue
        for what, code in _functions(module):
            generated = code.co_filename == "<string>" and what.rpartition(".")[2] in _GENERATED
            if generated or code.co_filename.startswith("<frozen "):
                continue
            if code.co_filename not in on_disk:
                on_disk[code.co_filename] = _codes_of(homes.get(code.co_filename))
            if code not in on_disk[code.co_filename]:
                found.append(f"{name}.{what}")
    return found


def _codes_of(module: str | None) -> set[CodeType]:
    """All code in a module's file; nothing for code that came from no module, such as a notebook's cell."""
    spec = getattr(sys.modules.get(module or ""), "__spec__", None)
    load = getattr(getattr(spec, "loader", None), "get_code", None)
    return set(_nested(load(spec.name))) if spec and load else set()


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _nested(inner)


def _functions(module: ModuleType) -> Iterator[tuple[str, CodeType]]:
    """Functions that stand under the module's names and those of its classes, wherever they say they come from."""
    for name, value in list(vars(module).items()):
        if not isinstance(value, _CLASS):
            yield from _code(name, value)
        else:
            for attribute, method in list(vars(value).items()):
                yield from _code(f"{name}.{attribute}", method)


def _code(name: str, value: Any) -> Iterator[tuple[str, CodeType]]:
    for function in (value, *(_read(value, part) for part in ("fget", "fset", "__func__", "__wrapped__"))):
        if isinstance(function, FunctionType):
            yield name, function.__code__


def _read(value: Any, attribute: str) -> Any:
    """The attribute, past the value's own __getattr__: some objects import a module when they are asked, or raise."""
    try:
        return object.__getattribute__(value, attribute)
    except AttributeError:
        return None
