"""A context that sees each operator of torch.distributed, and can stop calls into modules that are off limits.

It stands below `torch.distributed`'s Python functions, where their operators are dispatched, in the forward and in the
backward pass, so it makes no difference under which name a function was called. Importing it loads torch.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any, ClassVar, Self

from torch.utils._python_dispatch import TorchDispatchMode

NAMESPACES = ("c10d", "_c10d_functional", "c10d_functional", "symm_mem")


class Watched(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """To be subclassed: `note` is told of each operator before it runs.

    Args:
        off_limits: modules whose functions may not be called, such as a library that has the answer.

    Raises:
        Exception: of the kind `refusal`, from the line that calls a function of such a module.
    """

    refusal: ClassVar[type[Exception]] = RuntimeError

    def __init__(self, off_limits: tuple[str, ...] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's are untyped
        self._prefixes = tuple(f"{name}." for name in off_limits)
        self._before: Any = None

    def note(self, name: str, args: tuple[Any, ...]) -> None:
        """One operator, such as "send" or "alltoall_base", and its arguments as the dispatcher hands them on."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        if self._prefixes:
            self._before = sys.getprofile()
            sys.setprofile(self._watch)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *details: Any) -> None:
        super().__exit__(*details)  # type: ignore[no-untyped-call]
        if self._prefixes:
            sys.setprofile(self._before)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func.namespace in NAMESPACES:
            self.note(func.__name__.partition(".")[0].rstrip("_"), args)
        return func(*args, **(kwargs or {}))

    def _watch(self, frame: FrameType, event: str, _arg: Any) -> None:
        module = str(frame.f_globals.get("__name__", ""))
        if event == "call" and f"{module}.".startswith(self._prefixes):
            raise self.refusal(
                f"{module}.{frame.f_code.co_name} was called, where your own code is asked for. Remedy: write it."
            )
