"""The old interface (`neuronxcc.nki`, until 2025): what each of its names and habits became.

Source: Neuron documentation 2.32, "NKI migration guides".
"""

from __future__ import annotations

import dis
import re
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType
from typing import Any

from course_lib.nki.errors import NkiValidationError, broken_rule, kernel_frame

_INDEXING = "use slices, nl.ds(start, size) or tile.ap([[stride, count], ...])"
REPLACED: dict[str, dict[str, str]] = {
    "": {
        "simulate_kernel": "nki.simulate(kernel)(*args)",
        "cpu_simulate": "nki.simulate(kernel)(*args)",
        "baremetal": "call the kernel with NumPy arrays, kernel(*args), or nki.simulate(kernel)(*args)",
        "benchmark": "nki.profile(kernel)(*args) for modelled cycles; neuron-explorer on a Trainium",
        "trace": "@nki.jit",
    },
    "language": {
        "arange": _INDEXING,
        "mgrid": _INDEXING,
        "par_dim": "dimension 0 of an on-chip tensor is always the partition dimension: write (128, 512); for blocks "
        "of tiles use a Python list of tiles",
        "static_cast": "nl.copy(tile, dtype=...), or nisa.tensor_copy to a tile of the other format",
        "loop_reduce": "accumulate with repeated nisa.nc_matmul(dst=psum, ...) into one PSUM tile",
        "spmd_dim": "kernel[2](...) for the two cores of a logical core; loop over the rest inside the kernel",
        "nc": "kernel[2](...) for the two cores of a logical core",
        "all_reduce": "nki.collectives.all_reduce",
        "atomic_rmw": "nisa.dma_compute",
        "all_gather": "nki.collectives.all_gather",
        "shared_constant_matrix": "nl.shared_constant",
        "invert_mask": "ragged edges: compute the size of the last slice",
        "skip_middle_end_transformations": "nothing: the compiler no longer has these passes",
        "enable_stack_allocator": "nl.ndarray(..., address=(partition, byte))",
        "force_auto_alloc": "nothing: leave address= out",
    },
    "isa": {
        "tensor_copy_dynamic_src": "nisa.tensor_copy(dst, src.ap(..., scalar_offset=...))",
        "tensor_copy_dynamic_dst": "nisa.tensor_copy(dst.ap(..., scalar_offset=...), src)",
        "dma_engine_alias": "nisa.engine.dma",
        "tensor_scan": "nisa.tensor_tensor_scan",
        "local_gather_flattened": "nisa.nc_n_gather",
        "builtin": "allocate with nl.ndarray(..., address=(partition, byte))",
    },
}
_ARGUMENTS = {
    "mask": "masks are gone: compute the size of the ragged tile and slice both sides, e.g. tile[:rows, :columns]",
    "dtype": "the format of the result is that of dst: allocate dst with the format you want",
    "buffer": "the place of the result is that of dst: allocate dst with nl.ndarray(..., buffer=...)",
    "dst_rmw_op": "use nisa.dma_compute for read-modify-write",
    "unique_indices": "use nisa.dma_compute",
    "use_gpsimd_dma": "write dma_engine=nisa.dma_engine.gpsimd_dma",
    "imm": "the argument is called src",
    "pred": "affine_select takes pattern=, channel_multiplier=, offset= and cmp_op=",
    "expr": "iota takes pattern=, offset= and channel_multiplier=",
}


class OldInterfaceError(NkiValidationError, AttributeError):
    """A name of the old interface was used; an AttributeError too, so that `hasattr` answers no."""


class OldImportError(NkiValidationError, ImportError):
    """A name of the old interface was imported."""


def refuse(module: str, name: str) -> None:
    """For a module's `__getattr__`.

    Raises:
        OldInterfaceError: for a name of the old interface, with what took its place.
        OldImportError: the same in `from nki.language import name`, where Python hides an AttributeError's text.
    """
    instead = REPLACED[module].get(name)
    if instead is not None:
        full = f"nki.{module}.{name}" if module else f"nki.{name}"
        text = str(broken_rule(f"{full} is gone", limit="the interface of NKI 0.3 on", hint=instead))
        raise OldImportError(text) if _is_import(sys._getframe(2)) else OldInterfaceError(text)


def _is_import(frame: FrameType) -> bool:
    """Whether a frame is in the midst of `from ... import ...`."""
    return frame.f_lasti >= 0 and frame.f_code.co_code[frame.f_lasti] == dis.opmap["IMPORT_FROM"]


_CALL = r"([a-z_]\w*)(?:\.__new__)?\(\) "
_UNKNOWN = re.compile(_CALL + r"got an unexpected keyword argument '(\w+)'")
_LACKS = re.compile(_CALL + r"missing \d+ required positional arguments?: (.+)")
_OTHER = re.compile(_CALL + r"(got multiple values for argument|takes .* positional arguments? but \d+ w)")


def explain(error: TypeError) -> NkiValidationError | None:
    """What to say about a call that an instruction did not accept; None when the error is about something else."""
    text = str(error)
    unknown, lacks, other = (pattern.match(text) for pattern in (_UNKNOWN, _LACKS, _OTHER))
    found = unknown or lacks or other
    module = _module(found.group(1)) if found is not None else ""
    if found is None or not module:
        return None
    name, signature = found.group(1), f"see the signature: help({module}.{found.group(1)})"
    if unknown is not None:
        what, hint = f"{name} has no argument {unknown.group(2)}=", _ARGUMENTS.get(unknown.group(2), signature)
    elif lacks is not None:
        what, hint = f"{name} is called without {lacks.group(2)}", signature
        if module == "nisa":
            hint = (
                "instructions write into a tile and return none: allocate dst = nl.ndarray(shape, dtype, "
                f"buffer=nl.sbuf) and write nisa.{name}(dst=dst, ...)"
            )
        elif "'dtype'" in lacks.group(2):
            hint = "give the number format, e.g. dtype=nl.float32 or dtype=x.dtype"
    else:
        what, hint = text, signature
    place = _kernel_place(error)
    return NkiValidationError(f"{place}{what}. Limit: the interface of NKI 0.3 on. Try: {hint}.")


def _module(function: str) -> str:
    """Where kernels find a function of this name: nisa or nl; empty when it is none of ours."""
    from course_lib.nki import isa, language

    known = {"nisa": isa, "nl": language}
    return next((short for short, module in known.items() if callable(vars(module).get(function))), "")


def _kernel_place(error: BaseException) -> str:
    place, trace = "", error.__traceback__
    while trace is not None:
        if kernel_frame(trace.tb_frame) is trace.tb_frame:
            place = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}: "
        trace = trace.tb_next
    return place


_TYPING = "neuronxcc.nki.typing"


class NeuronxccFinder(MetaPathFinder):
    """Answers `import neuronxcc` where the compiler is not installed: refuses it, except for `neuronxcc.nki.typing`.

    That module holds annotations alone, and published kernels in the current interface still import it.
    """

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The spec for the annotations and the packages above them, None for names of others.

        Raises:
            ImportError: naming the module that took its place.
        """
        if fullname.partition(".")[0] != "neuronxcc":
            return None
        if fullname == _TYPING or (_TYPING.startswith(f"{fullname}.") and _wants(_TYPING)):
            return ModuleSpec(fullname, _AnnotationsLoader(), is_package=fullname != _TYPING)
        raise ImportError(_old(fullname), name=fullname)


class _AnnotationsLoader(Loader):
    """Gives out `nki.typing` under its old name, and empty packages above it."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        if spec.name == _TYPING:
            from course_lib.nki import typing

            return typing
        made = ModuleType(spec.name)
        made.__getattr__ = _refuse_old  # type: ignore[method-assign]
        return made

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to do."""


def _wants(name: str) -> bool:
    """Whether the import under way asks for this module; Python imports the packages above it first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "_find_and_load" and frame.f_locals.get("name") == name:
            return True
        frame = frame.f_back
    return False


def _refuse_old(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise ImportError(_old(f"neuronxcc.nki.{name}"))


def _old(name: str) -> str:
    return (
        f"{name} is the old interface (until 2025), and an error inside kernels since NKI 0.4. Try: "
        "import nki; import nki.language as nl; import nki.isa as nisa; import nki.typing as nt."
    )
