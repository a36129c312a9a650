"""Run a learner's kernel so that instructions alone move its values, and keep what the run cost.

On a Trainium a kernel sees shapes; numbers exist only while the chip runs. In the simulator they are NumPy arrays a few
attributes away, so a kernel could compute with NumPy and look right here. While a kernel is watched, these attributes
answer to the simulator's own files and to nobody else, and its result must be memory that its instructions wrote.
"""

from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any

from course_lib.nki.constants import MemoryRegion
from course_lib.nki.errors import NkiValidationError, broken_rule
from course_lib.nki.kernel import Kernel
from course_lib.nki.profile import Profile, profile
from course_lib.nki.tensor import NkiTensor

_OWN = str(Path(__file__).parent)
# What a tensor keeps for the simulator; its shape, format, region and views are for everybody.
_VALUES = ("array", "root", *sorted(set(NkiTensor.__slots__) - {"shape", "dtype", "buffer"}))
MOST = 100_000  # instructions; a lab's kernels need a few hundred, and a loop without end is to be told from a slow one
PATIENCE = 5.0  # seconds without an instruction


class Watch:
    """A kernel under watch: call it with arrays, and look at `last` for what that call cost.

    Args:
        kernel: What `nki.jit` made of a function, or the plain function.
    """

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self.last: Profile | None = None

    def __call__(self, *arguments: Any) -> Any:
        """Run the kernel once.

        Args:
            arguments: Arrays and plain values, as for `nki.simulate`.

        Returns:
            The kernel's result as an array, or a tuple of them, of the arguments' kind.

        Raises:
            NkiValidationError: If the kernel is none of this simulator's, breaks a rule of the machine, reads memory
                that nobody wrote, looks at values, or returns anything but tensors that it wrote in HBM.
        """
        self.last = None
        function = self._kernel.function if isinstance(self._kernel, Kernel) else self._kernel
        if not isinstance(function, FunctionType):
            raise NkiValidationError(
                f"the kernel is of type {type(function).__name__}. Limit: a function, with or without @nki.jit, in the "
                "course's simulator. Try: call activate() before import nki; if AWS's own nki is installed, use an "
                "environment without it."
            )
        watched = profile(_guarded(function), uninitialised="error", max_instructions=MOST, patience=PATIENCE)
        self.last = watched(*copy.deepcopy(arguments))  # what a kernel writes to its inputs must not reach its judge
        return self.last.results

    @property
    def transfers(self) -> int:
        """DMA instructions of the last call."""
        return self._measured().engines["dma"].instructions

    @property
    def hbm_bytes(self) -> int:
        """Bytes over HBM in the last call, both directions."""
        return self._measured().hbm_bytes

    @property
    def microseconds(self) -> float:
        """Modelled time of the last call."""
        return self._measured().seconds * 1e6

    def _measured(self) -> Profile:
        if self.last is None:
            raise NkiValidationError("nothing was measured: the kernel did not run to its end. Try: mend it first.")
        return self.last


def _guarded(function: FunctionType) -> Kernel:
    @functools.wraps(function)
    def run(*arguments: Any) -> Any:
        with _values_for_the_simulator_only():
            result = function(*arguments)
        several = isinstance(result, tuple) and len(result) > 0
        for one in result if several else (result,):
            _need_written(function.__name__, one)
        return result

    return Kernel(run)


def _need_written(kernel: str, result: Any) -> None:
    allocated = isinstance(result, NkiTensor) and result.buffer is MemoryRegion.shared_hbm
    if allocated and result.storage.first >= 0:
        return
    what = "nothing" if result is None else f"an object of type {type(result).__name__}"
    if isinstance(result, NkiTensor):
        what = result.storage.describe() + (", which no instruction wrote" if allocated else "")
    raise NkiValidationError(
        f"{kernel} returns {what}. Limit: tensors in HBM that the kernel allocated and wrote. Try: "
        "out = nl.ndarray(shape, dtype=..., buffer=nl.shared_hbm), then nisa.dma_copy(dst=out, src=tile), then "
        "return out."
    )


@contextmanager
def _values_for_the_simulator_only() -> Iterator[None]:
    """While it lasts, what leads to a tensor's values refuses every caller outside this package."""
    plain = {name: vars(NkiTensor)[name] for name in _VALUES}
    for name, found in plain.items():
        setattr(NkiTensor, name, _Guarded(name, found))
    try:
        yield
    finally:
        for name, found in plain.items():
            setattr(NkiTensor, name, found)


class _Guarded:
    """Stands in for an attribute of a class and asks where the caller's code comes from."""

    def __init__(self, name: str, found: Any) -> None:
        self._name, self._found = name, found

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        self._refuse_others()
        return self._found.__get__(owner, kind)

    def __set__(self, owner: Any, value: Any) -> None:
        self._refuse_others()
        self._found.__set__(owner, value)

    def _refuse_others(self) -> None:
        if not sys._getframe(2).f_code.co_filename.startswith(_OWN):
            raise broken_rule(
                f"the kernel looks at .{self._name} of a tensor",
                limit="a kernel sees shapes and formats; values exist only while the chip runs",
                hint="load with nisa.dma_copy and compute with instructions",
            )
