"""`nki.jit` and `nki.simulate`: wrap a Python function as a kernel and run it on simulated cores.

NumPy in, NumPy out; torch in, torch out. Inputs that the kernel writes to change in place.

Source: Neuron documentation 2.32, `nki.jit`, `nki.simulate`, "NKI CPU simulator".
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from course_lib.nki.capacity import check_capacity
from course_lib.nki.constants import MemoryRegion
from course_lib.nki.convert import from_tensor, is_array, to_array
from course_lib.nki.errors import broken_rule
from course_lib.nki.launch import Launch
from course_lib.nki.options import Options
from course_lib.nki.session import Core, running
from course_lib.nki.tensor import NkiTensor
from course_lib.runtime.nki_environment import nki_settings


class Kernel:
    """A function to run on a NeuronCore; `kernel[2]` runs it on two cores that share memory (LNC2).

    Args:
        function: the kernel.
        lnc: number of cores; 0 means one core without a launch grid.
    """

    def __init__(self, function: Callable[..., Any], lnc: int = 0) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.lnc = lnc

    def __getitem__(self, lnc: Any) -> Kernel:
        count = lnc[0] if isinstance(lnc, tuple) and len(lnc) == 1 else lnc
        if not isinstance(count, int) or not 1 <= count <= 2:
            raise broken_rule(
                f"kernel[{lnc!r}]",
                limit="1 or 2 physical cores form a logical core",
                hint="use kernel[2](...), or course_lib.nki.collectives.launch for more cores",
            )
        return Kernel(self.function, count)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Inside another kernel, calls the function; outside, runs it on the simulator."""
        from course_lib.nki.session import _thread

        if getattr(_thread, "core", None) is not None:
            return self.function(*args, **kwargs)
        return simulate(self)(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<NKI kernel {self.function.__name__}{f'[{self.lnc}]' if self.lnc else ''}>"


def jit(fn: Callable[..., Any] | None = None, **settings: Any) -> Any:
    """Marks a function as a kernel.

    Args:
        fn: the function.
        settings: refused: the modes and targets of old versions are gone.

    Returns:
        A `Kernel`, or a decorator when called with parentheses.
    """
    if settings:
        names = ", ".join(settings)
        raise broken_rule(
            f"nki.jit({names}=...)",
            limit="nki.jit takes no options",
            hint="choose the target with NEURON_PLATFORM_TARGET_OVERRIDE, and simulate with nki.simulate(kernel)",
        )
    return Kernel if fn is None else fn if isinstance(fn, Kernel) else Kernel(fn)


def default_options() -> Options:
    """Options as the documented environment variables ask."""
    settings = nki_settings()
    return Options(target=str(settings["target"]), precise=bool(settings["precise"]))


def simulate(kernel: Callable[..., Any] | Kernel, options: Options | None = None, **changes: Any) -> Callable[..., Any]:
    """A function that runs a kernel on the CPU.

    Args:
        kernel: a kernel or a plain function.
        options: settings; by default those of the environment.
        changes: single settings by name, e.g. target="trn2", uninitialised="error".

    Returns:
        A callable that takes NumPy arrays or torch tensors (and plain values) and returns the kernel's results in the
        same kind.
    """
    wrapped = kernel if isinstance(kernel, Kernel) else Kernel(kernel)

    @functools.wraps(wrapped.function)
    def run(*args: Any, **kwargs: Any) -> Any:
        return run_kernel(wrapped, args, kwargs, replace(options or default_options(), **changes))[0]

    return run


def run_kernel(kernel: Kernel, args: Any, kwargs: Any, options: Options) -> tuple[Any, list[Core]]:
    """Runs a kernel once.

    Returns:
        Its results as arrays, and the cores with what they recorded.
    """
    cores = max(1, kernel.lnc)
    launch = Launch(cores) if cores > 1 else None
    made = [Core(options, number, launch, grid=kernel.lnc > 0) for number in range(cores)]
    buffer = MemoryRegion.shared_hbm if launch is not None else MemoryRegion.private_hbm
    torch_in = False
    originals: list[tuple[Any, np.ndarray]] = []

    def wrap(value: Any, name: str) -> Any:
        nonlocal torch_in
        if not is_array(value):
            return value
        torch_in = torch_in or not isinstance(value, np.ndarray)
        array, dtype = to_array(value, options)
        originals.append((value, array))
        return made[0].adopt(array, dtype, buffer, name)

    wrapped = [wrap(value, f"argument {place}") for place, value in enumerate(args)]
    named = {name: wrap(value, name) for name, value in kwargs.items()}
    results = _run_all(kernel, made, launch, wrapped, named)
    if launch is not None:
        launch.check_races()
    if options.capacity:
        for core in made:
            check_capacity(core)
    if options.execute:
        for value, array in originals:
            from_tensor_into(value, array)
    return from_tensor(results[0], torch_in, options), made


def from_tensor_into(value: Any, array: np.ndarray) -> None:
    """Copies an argument's values back where the simulator had to convert them."""
    from course_lib.nki.convert import write_back

    write_back(value, array)


def _run_all(
    kernel: Kernel, cores: list[Core], launch: Launch | None, args: list[Any], named: dict[str, Any]
) -> list[Any]:
    results: list[Any] = [None] * len(cores)
    failures: list[BaseException | None] = [None] * len(cores)

    def work(number: int) -> None:
        try:
            with running(cores[number]), np.errstate(all="ignore"):
                results[number] = kernel.function(*args, **named)
        except BaseException as error:  # noqa: BLE001 - handed to the caller below
            failures[number] = error
        if launch is not None:
            launch.end(cores[number], failures[number])

    if launch is None:
        with running(cores[0]), np.errstate(all="ignore"):
            return [kernel.function(*args, **named)]
    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(len(cores))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if launch.failure is not None:
        raise launch.failure
    return results


__all__ = ["Kernel", "NkiTensor", "default_options", "jit", "run_kernel", "simulate"]
