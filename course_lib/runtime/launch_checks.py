"""What a launch is asked for, checked before any process is started."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable
from typing import Any

from course_lib.runtime.launch_errors import LaunchError

MOST_RANKS = 128  # each is a process of about 200 MB


def check_call(fn: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise `LaunchError` unless `fn` takes these arguments; a misspelled option of `launch` ends up among them."""
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):  # some functions written in C tell nothing
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        name = getattr(fn, "__name__", repr(fn))
        raise LaunchError(
            f"{name}{signature} can't be called as asked: {error}. Remedy: pass its arguments after world_size; "
            "launch's own options are hardware, threads_per_rank, timeout_seconds, patience_seconds, port, horovod and "
            "output."
        ) from error


def check_settings(
    fn: object, world_size: object, timeout: object, patience: object, output: object, threads: object
) -> None:
    if not callable(fn):
        raise LaunchError(f"fn={fn!r} can't be called. Remedy: pass a function, without calling it: launch(train, 2).")
    if isinstance(world_size, bool) or not isinstance(world_size, int) or not 1 <= world_size <= MOST_RANKS:
        raise LaunchError(
            f"world_size={world_size!r} must be a whole number from 1 to {MOST_RANKS} (each rank is a process of about "
            "200 MB). Remedy: give a few; more belong on more machines, under torchrun."
        )
    for name, value in (("timeout_seconds", timeout), ("patience_seconds", patience)):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value <= 0:  # type: ignore[operator, arg-type]
            raise LaunchError(f"{name}={value!r} must be a finite number of seconds above 0. Remedy: such as 60.")
    if output not in ("all", "first", "none"):
        raise LaunchError(f"output={output!r} is not known. Remedy: use 'all', 'first' or 'none'.")
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise LaunchError(f"threads_per_rank={threads!r} must be a whole number of at least 1. Remedy: leave it out.")


def current_folder() -> str:
    """The folder that ranks are to work in: this process's own.

    Raises:
        LaunchError: when it has been deleted.
    """
    try:
        return os.getcwd()
    except FileNotFoundError as error:
        raise LaunchError(
            "the current folder has been deleted, and no process can be started in it. Remedy: change to another, as "
            "with os.chdir(os.path.expanduser('~'))."
        ) from error
