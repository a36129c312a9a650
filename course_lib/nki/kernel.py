"""`nki.jit` and `nki.simulate`: wrap a Python function as a kernel and run it on simulated cores.

NumPy in, NumPy out; torch in, torch out. Inputs that the kernel writes to change in place.

Source: Neuron documentation 2.32, `nki.jit`, `nki.simulate`, "NKI CPU simulator".
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from course_lib.nki.arguments import Arguments
from course_lib.nki.capacity import check_capacity
from course_lib.nki.constants import MemoryRegion
from course_lib.nki.convert import from_tensor
from course_lib.nki.errors import broken_rule
from course_lib.nki.launch import Launch
from course_lib.nki.legacy import explain
from course_lib.nki.options import Options
from course_lib.nki.patience import watched
from course_lib.nki.rarely import rare_collections
from course_lib.nki.session import Core, is_running, running
from course_lib.runtime import nki_settings


class Kernel:
    """A function to run on a NeuronCore; `kernel[2]` runs it on two cores that share memory (LNC2).

    Args:
        function: the kernel.
        lnc: number of cores; 0 means one core without a launch grid.
        schedule: pairs of instruction names, the second (or each of a list) before the first.
    """

    def __init__(self, function: Callable[..., Any], lnc: int = 0, schedule: Sequence[Any] = ()) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.lnc = lnc
        self.schedule = schedule

    def __getitem__(self, lnc: Any) -> Kernel:
        count = lnc[0] if isinstance(lnc, tuple) and len(lnc) == 1 else lnc
        if not isinstance(count, int) or not 1 <= count <= 2:
            raise broken_rule(
                f"kernel[{lnc!r}]",
                limit="1 or 2 physical cores form a logical core",
                hint="launch grids of the old interface are gone: use kernel[2](...) and loop inside the kernel; for "
                "more cores, course_lib.nki.collectives.launch",
            )
        return Kernel(self.function, count, self.schedule)

    def with_schedule(self, edges: Sequence[Any]) -> Kernel:
        """The same kernel with an order for named instructions.

        The simulator computes in program order, which each valid schedule allows; the cost model ignores the edges.

        Args:
            edges: pairs (later, earlier) of names; earlier may be a list of names.

        Raises:
            NkiValidationError: for anything but such pairs.
        """
        for edge in edges:
            pair = tuple(edge) if isinstance(edge, tuple | list) else ()
            before = pair[1] if len(pair) == 2 and isinstance(pair[1], list | tuple) else pair[1:]
            if len(pair) != 2 or not all(isinstance(name, str) for name in (pair[0], *before)):
                raise broken_rule(
                    f"with_schedule: {edge!r}",
                    limit="pairs of names, (later, earlier) or (later, [earlier, ...])",
                    hint='name instructions with name="...": [("second", "first")]',
                )
        return Kernel(self.function, self.lnc, tuple(edges))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Inside another kernel, calls the function; outside, runs it on the simulator."""
        if is_running():
            return self.function(*args, **kwargs)
        return simulate(self)(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<NKI kernel {self.function.__name__}{f'[{self.lnc}]' if self.lnc else ''}>"


def jit(fn: Callable[..., Any] | None = None, **settings: Any) -> Any:
    """Marks a function as a kernel.

    Args:
        fn: the function.
        settings: compiler settings and `mode`, which published kernels still pass; they change nothing here.

    Returns:
        A `Kernel`, or a decorator when called with parentheses.

    Raises:
        NkiValidationError: for `platform_target`, which NKI 0.3 removed.
    """
    if "platform_target" in settings:
        raise broken_rule(
            f"nki.jit(platform_target={settings['platform_target']!r})",
            limit="the target is no option of nki.jit since NKI 0.3",
            hint="set NEURON_PLATFORM_TARGET_OVERRIDE, or pass target= to nki.simulate",
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


@rare_collections()
def run_kernel(
    kernel: Kernel, args: Any, kwargs: Any, options: Options, world: tuple[Any, int] | None = None
) -> tuple[Any, list[Core]]:
    """Runs a kernel once.

    Args:
        kernel: what to run.
        args, kwargs: its arguments.
        options: settings.
        world: what the ranks of a collective launch share, and this rank.

    Returns:
        Its results as arrays, and the cores with what they recorded.
    """
    cores = max(1, kernel.lnc)
    launch = Launch(cores) if cores > 1 else None
    made = [Core(options, number, launch, grid=kernel.lnc > 0) for number in range(cores)]
    for core in made:
        core.world = world
    buffer = MemoryRegion.shared_hbm if launch is not None else MemoryRegion.private_hbm
    arguments = Arguments(made[0], buffer, options)
    placed, named = arguments.bind(kernel.function, args, kwargs)
    results = _run_all(kernel, made, launch, placed, named)
    if launch is not None:
        launch.check_races()
    if options.capacity:
        for core in made:
            check_capacity(core)
    with np.errstate(all="ignore"):  # values that are still owed are computed here
        if options.execute:
            arguments.write_back()
        return from_tensor(results[0], arguments.torch, options), made


def _call(kernel: Kernel, core: Core, args: list[Any], named: dict[str, Any]) -> Any:
    """Runs the function; a call that an instruction does not accept is explained, an endless loop ended."""
    try:
        return watched(core, lambda: kernel.function(*args, **named))
    except TypeError as error:
        better = explain(error)
        if better is None:
            raise
        raise better from error


def _run_all(
    kernel: Kernel, cores: list[Core], launch: Launch | None, args: list[Any], named: dict[str, Any]
) -> list[Any]:
    if launch is None:
        with running(cores[0]), np.errstate(all="ignore"):
            return [_call(kernel, cores[0], args, named)]
    results: list[Any] = [None] * len(cores)

    def work(number: int) -> None:
        failure: BaseException | None = None
        try:
            with running(cores[number]), np.errstate(all="ignore"):
                results[number] = _call(kernel, cores[number], args, named)
        except BaseException as error:  # noqa: BLE001 - the launch keeps it and it is raised below
            failure = error
        launch.end(cores[number], failure)

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(len(cores))]
    launch.run_all(threads)
    if launch.failure is not None:
        raise launch.failure
    return results
