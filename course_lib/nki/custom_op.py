"""A kernel as a PyTorch operator: it runs the simulator on the CPU, has gradients, and survives torch.compile.

On a Trainium the same kernel becomes an operator by `course_lib.nki.neuron_op`.

Source: PyTorch documentation, "Custom Python Operators" (`torch.library.custom_op`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from course_lib.nki.errors import broken_rule
from course_lib.nki.kernel import Kernel, simulate

if TYPE_CHECKING:
    import torch

_SCHEMA_TYPES = {"float": "float", "int": "int", "bool": "bool", "str": "str"}
Backward = Callable[[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...]], tuple[Any, ...]]


def as_custom_op(
    kernel: Kernel | Callable[..., Any],
    name: str,
    shapes: Callable[..., Any],
    backward: Backward | None = None,
    **simulation: Any,
) -> Callable[..., Any]:
    """Registers a kernel as `torch.ops.<namespace>.<operator>`.

    Args:
        kernel: the kernel. Parameters without annotation, or annotated as tensors, are tensors; others are float, int,
            bool or str.
        name: "namespace::operator".
        shapes: takes the kernel's arguments and returns what the kernel returns as empty tensors
            (`torch.empty_like(x)`, `x.new_empty(...)`); tells the compiler shapes and formats, and runs nothing.
        backward: takes (inputs, outputs, gradients of the outputs) as three tuples and returns one gradient for each
            input, None for what has none. It may call other operators, kernels among them.
        simulation: options of `nki.simulate`, e.g. target="trn2".

    Returns:
        The operator, to be called with torch tensors.

    Raises:
        NkiValidationError: for a parameter that PyTorch has no type for.

    Source: PyTorch documentation, `torch.library.custom_op`, `register_fake`, `register_autograd`.
    """
    import torch

    function = kernel.function if isinstance(kernel, Kernel) else kernel
    run = simulate(kernel, **simulation)

    def forward(*args: Any, **kwargs: Any) -> Any:
        result = run(*(_plain(value) for value in args), **{key: _plain(value) for key, value in kwargs.items()})
        return tuple(result) if isinstance(result, tuple | list) else result

    operator = torch.library.custom_op(name, forward, mutates_args=(), device_types="cpu", schema=schema_of(function))
    operator.register_fake(shapes)
    if backward is not None:
        give_gradient(operator, backward)
    return operator


def _plain(value: Any) -> Any:
    """A tensor without its history and in row order, which is how a kernel finds it in HBM."""
    import torch

    return value.detach().contiguous() if isinstance(value, torch.Tensor) else value


def schema_of(function: Callable[..., Any]) -> str:
    """PyTorch's schema for a kernel's signature, e.g. `(Tensor x, float epsilon=1e-06) -> Tensor`.

    Args:
        function: the kernel's function; a result annotated as `tuple[..., ...]` becomes that many tensors.

    Raises:
        NkiValidationError: for a parameter that is neither tensor nor number, truth value or text.
    """
    signature = inspect.signature(function)
    parts = []
    for parameter in signature.parameters.values():
        kind = schema_type(parameter)
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or not kind:
            raise broken_rule(
                f"parameter {parameter} of {function.__name__}",
                limit="operators take tensors, float, int, bool and str",
                hint="wrap the kernel in one whose parameters are of these types",
            )
        default = parameter.default
        text = f'"{default}"' if isinstance(default, str) else str(default)
        parts.append(f"{kind} {parameter.name}" + ("" if default is parameter.empty else f"={text}"))
    count = result_count(signature.return_annotation)
    results = "Tensor" if count == 1 else f"({', '.join(['Tensor'] * count)})"
    return f"({', '.join(parts)}) -> {results}"


def schema_type(parameter: inspect.Parameter) -> str:
    """PyTorch's name for a parameter's type, empty when it has none."""
    annotation = parameter.annotation
    if annotation is parameter.empty:
        default = parameter.default
        return "Tensor" if default is parameter.empty else _SCHEMA_TYPES.get(type(default).__name__, "")
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    plain = text.split("[")[0].rsplit(".", 1)[-1]
    return "Tensor" if plain in ("NkiTensor", "Tensor", "ndarray", "tensor") else _SCHEMA_TYPES.get(plain, "")


def result_count(annotation: Any) -> int:
    """How many tensors a kernel returns, by its annotation: `tuple[a, b]` are two, everything else is one."""
    text = annotation if isinstance(annotation, str) else str(annotation)
    return text.count(",") + 1 if text.startswith("tuple[") else 1


def give_gradient(operator: Any, backward: Backward) -> None:
    """Registers a gradient on an operator of `torch.library` or of torch-neuronx.

    Args:
        operator: has `register_autograd`.
        backward: as in `as_custom_op`.
    """
    import torch

    def keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        outputs = tuple(output) if isinstance(output, tuple | list) else (output,)
        ctx.input_count = len(inputs)
        values = (*inputs, *outputs)
        ctx.plain = [None if isinstance(value, torch.Tensor) else value for value in values]
        ctx.tensor_places = [place for place, value in enumerate(values) if isinstance(value, torch.Tensor)]
        ctx.save_for_backward(*(values[place] for place in ctx.tensor_places))

    def differentiate(ctx: Any, *gradients: torch.Tensor) -> Any:
        values = list(ctx.plain)
        for place, tensor in zip(ctx.tensor_places, ctx.saved_tensors, strict=True):
            values[place] = tensor
        inputs, outputs = tuple(values[: ctx.input_count]), tuple(values[ctx.input_count :])
        return tuple(backward(inputs, outputs, gradients))

    operator.register_autograd(differentiate, setup_context=keep)
