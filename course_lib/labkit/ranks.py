"""What real processes came back with, handed to checks claim by claim; a failed launch is told once, for learners."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from typing import Any

from course_lib.labkit.failures import NoResult
from course_lib.labkit.wording import kind_of, show

WARM_UP_SECONDS = 300.0
FRAME = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>.+)$', re.MULTILINE)
LIBRARIES = re.compile(r"[/\\](?:site|dist)-packages[/\\]|[/\\]lib[/\\]python3|[/\\]course_lib[/\\]|^<frozen")
# What gloo says, and what it means for somebody who has just written the two ends of a message.
MEANINGS = (
    (
        re.compile(r"(\d+) vs (\d+)\. Received data size"),
        r"a message of \1 bytes came where room had been made for \2: sender and receiver mean different pieces",
    ),
    (
        re.compile(r"Connection closed by peer"),
        "a rank had ended while a message was still on its way: is every handle waited for?",
    ),
)
_WARM: weakref.WeakSet[Any] = weakref.WeakSet()  # launchers whose first, slow launch is over


class Ranks:
    """The results of one launch, or why there are none.

    Args:
        launch: an open `course_lib.runtime.Launcher`.
        fn: what each rank runs; returns a dictionary of results by name.
        world_size: number of ranks.
        *args: for `fn`.
        timeout_seconds: for the ranks alone; what starting the first processes takes is not counted.
    """

    def __init__(
        self, launch: Callable[..., Any], fn: Callable[..., Any], world_size: int, *args: Any, timeout_seconds: float
    ) -> None:
        self._results: list[dict[str, Any]] = []
        self._error: Exception | None = None
        self._told = False
        try:
            if launch not in _WARM:
                launch(_nothing, 1, timeout_seconds=WARM_UP_SECONDS, output="none")
                _WARM.add(launch)
            self._results = launch(fn, world_size, *args, timeout_seconds=timeout_seconds, output="none")
        except Exception as error:  # noqa: BLE001 - whatever it is, the checks report it
            self._error = error

    def of(self, name: str, rank: int = 0) -> Callable[[], Any]:
        """What one rank returned under a name, for a check to call."""

        def call() -> Any:
            self._require_results()
            return self._results[rank][name]

        return call

    def stacked(self, name: str) -> Callable[[], Any]:
        """The tensors that all ranks returned under a name, row r from rank r, for a check to call."""

        def call() -> Any:
            import torch

            tensors = self._tensors(name)
            if len({tuple(tensor.shape) for tensor in tensors}) > 1:
                shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
                raise NoResult(f"returned tensors of different shapes, from rank 0 on: {shapes}")
            return torch.stack(tensors)

        return call

    def joined(self, name: str) -> Callable[[], Any]:
        """The tensors that ranks returned under a name, flat and one after another, for a check to call."""

        def call() -> Any:
            import torch

            return torch.cat([tensor.reshape(-1) for tensor in self._tensors(name)])

        return call

    def _tensors(self, name: str) -> list[Any]:
        import torch

        self._require_results()
        tensors = [result[name] for result in self._results]
        for rank, tensor in enumerate(tensors):
            if kind_of(tensor) is not torch.Tensor:
                raise NoResult(f"returned {show(tensor)} ({kind_of(tensor).__name__}) on rank {rank}, no tensor")
        if len({tensor.dtype for tensor in tensors}) > 1:
            dtypes = ", ".join(str(tensor.dtype) for tensor in tensors)
            raise NoResult(f"returned tensors of different dtypes, from rank 0 on: {dtypes}")
        return tensors

    def _require_results(self) -> None:
        if self._error is None:
            return
        failure = getattr(self._error, "failure", None)
        if getattr(failure, "kind", "") == "NotImplementedError":
            raise NotImplementedError(getattr(failure, "message", ""))
        if self._told:
            raise NoResult("brought no result, as told above")
        self._told = True
        raise NoResult(_in_words(self._error))


def _in_words(error: Exception) -> str:
    failure = getattr(error, "failure", None)
    if getattr(error, "waiting", None):
        places = str(error).partition("\nRemedy:")[0]
        asked = "Who waits for a message that nobody sends, or sends one that nobody takes?"
        return f"brought no result: {places}\n{asked}"
    if failure is None:
        return f"could not be tried, which may not be its fault: {kind_of(error).__name__}: {error}"
    text = f"failed on rank {failure.rank}: {failure.kind}: {failure.message}"
    own = [
        f"line {match['line']} of {match['function']}"
        for match in FRAME.finditer(failure.traceback)
        if not LIBRARIES.search(match["file"])
    ]
    text += f"\n(at {', called from '.join(own[:0:-1] or own)})" if own else ""
    found = [(pattern.search(failure.message), meaning) for pattern, meaning in MEANINGS]
    return "\nthat is, ".join([text, *(match.expand(meaning) for match, meaning in found if match)])


def _nothing() -> None:
    return None
