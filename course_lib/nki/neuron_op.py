"""A kernel as a PyTorch operator on a Trainium, by way of torch-neuronx. NOT RUN HERE: it needs the device.

The course's tests cover `course_lib.nki.custom_op`, which has the same interface on the CPU; this file follows the
documentation and has never been executed.

Source: Neuron documentation 2.33, "How to work with NKI kernels from torch-neuronx" (`nki_op`, `wrap_nki`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from course_lib.nki.custom_op import Backward, give_gradient, result_count, schema_type

_PYTHON_TYPES = {"float": float, "int": int, "bool": bool, "str": str}


def as_neuron_op(kernel: Any, name: str, backward: Backward | None = None) -> Callable[..., Any]:
    """Registers a kernel for tensors on the device "neuron", in eager mode, under torch.compile and in training.

    Args:
        kernel: a kernel that was decorated with the real `nki.jit`, annotated as in `as_custom_op`.
        name: "namespace::operator".
        backward: as in `as_custom_op`.

    Returns:
        The operator, to be called with tensors on the device.

    Raises:
        ImportError: where torch-neuronx is not installed.
    """
    import torch
    from torch_neuronx import nki_op, wrap_nki  # type: ignore[import-not-found]

    function = inspect.unwrap(getattr(kernel, "function", kernel))
    run = wrap_nki(kernel)

    def launch(*args: Any, **kwargs: Any) -> Any:
        return run(*args, **kwargs)

    # nki_op reads types from the signature, and runs the function on fake tensors to learn the results' shapes.
    signature = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=_PYTHON_TYPES.get(schema_type(parameter), torch.Tensor))
        for parameter in signature.parameters.values()
    ]
    count = result_count(signature.return_annotation)
    returns = torch.Tensor if count == 1 else tuple[(torch.Tensor,) * count]  # type: ignore[misc]
    launch.__signature__ = inspect.Signature(parameters, return_annotation=returns)  # type: ignore[attr-defined]
    launch.__name__ = name.rsplit("::", 1)[-1]

    operator = nki_op(name, mutates_args={})(launch)
    if backward is not None:
        give_gradient(operator, backward)
    return operator  # type: ignore[no-any-return]
