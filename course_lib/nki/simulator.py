"""`nki.simulator`: the entry that serving frameworks use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from course_lib.nki.kernel import Kernel, simulate


def simulate_kernel(
    func: Callable[..., Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, _lnc: int = 1
) -> Any:
    """Runs a kernel on the simulator.

    Args:
        func: kernel or plain function.
        args, kwargs: its arguments.
        _lnc: cores of the logical core, 1 or 2.
    """
    kernel = func if isinstance(func, Kernel) else Kernel(func)
    return simulate(kernel[_lnc] if _lnc != 1 else kernel)(*args, **(kwargs or {}))
