"""How large a tensor's elements get, in one pass and without waiting for the device."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor

from course_lib.distributed.dtensors import local


def magnitude_of(tensor: Tensor) -> Tensor:
    """Largest absolute value  # () float32; NaN where there is one, 0 where there is nothing.

    Args:
        tensor: floating point, any shape; of a DTensor this rank's part.
    """
    value = local(tensor.detach())
    if not value.numel():
        return torch.zeros((), device=value.device)
    low, high = torch.aminmax(value)  # one pass and no copy; NaN goes through
    return torch.maximum(-low, high).float()


def kind_of(magnitude: float) -> Literal["inf", "nan"]:
    """What a magnitude that is not finite is."""
    return "nan" if math.isnan(magnitude) else "inf"


def tensors_in(nested: Any) -> Iterator[Tensor]:
    """The tensors in lists, tuples and dictionaries of whatever depth, in their order."""
    if isinstance(nested, Tensor):
        yield nested
    elif isinstance(nested, dict):
        for value in nested.values():
            yield from tensors_in(value)
    elif isinstance(nested, list | tuple):
        for value in nested:
            yield from tensors_in(value)
