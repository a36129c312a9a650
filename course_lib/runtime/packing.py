"""How a call travels to the ranks and what it returns travels back: cloudpickle, and clear words where it can't."""

from __future__ import annotations

import functools
import importlib
import importlib.machinery
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from course_lib.runtime.launch_errors import LaunchError


def pack_call(fn: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """A call of `fn` without arguments left, as bytes; with its code where ranks can't import its module.

    Raises:
        LaunchError: when something that it refers to can't be sent.
    """
    with _carried(fn):
        return _pickled(functools.partial(fn, *args, **kwargs))


def _pickled(call: Callable[..., object]) -> bytes:
    """A call with all that its code refers to, modules by name.

    A function that says `dist.` and `.config` refers, for cloudpickle, to the module torch.distributed.config, which is
    an instance of a class of its own and could not be pickled.
    """
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, ModuleType) and type(obj) is not ModuleType:
                return importlib.import_module, (obj.__name__,)
            return super().reducer_override(obj)

    packed = io.BytesIO()
    try:
        Pickler(packed).dump(call)
    except Exception as error:
        raise LaunchError(
            f"fn, or something that it uses, can't be sent to the ranks: {error}. Remedy: open files, make locks and "
            "start launchers inside of fn, and hand over plain values."
        ) from error
    return packed.getvalue()


def unpack_result(rank: int, result: bytes) -> Any:
    """What a rank returned.

    Raises:
        LaunchError: when this process can't make it from the bytes.
    """
    import cloudpickle

    try:
        return cloudpickle.loads(result)
    except Exception as error:
        raise LaunchError(
            f"what rank {rank} returned can't be read here: {type(error).__name__}: {error}. Remedy: return numbers, "
            "tensors, lists or dataclasses of these."
        ) from error


@contextmanager
def _carried(fn: Callable[..., object]) -> Iterator[None]:
    """Within: a function of a module that ranks can't import is sent with its code, not by name."""
    import cloudpickle

    module = sys.modules.get(getattr(fn, "__module__", None) or "")
    if module is None or module.__name__ == "__main__" or _can_be_imported(module.__name__):
        yield
        return
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _can_be_imported(name: str) -> bool:
    try:
        return importlib.machinery.PathFinder.find_spec(name.partition(".")[0]) is not None
    except ImportError:
        return False
