"""Our optimizers' step against torch.optim's own on the same parameters."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from benchmarks.ratio import Ratio, compare, one_thread
from course_lib.distributed import Lamb, Lion

STEPS = 5


def measure() -> list[Ratio]:
    """LAMB and Lion against AdamW, all with lists of tensors (foreach), on 5 million parameters in 48 tensors."""
    adam = _steps(lambda p: torch.optim.AdamW(p, foreach=True))
    with one_thread():
        return [
            compare("Lamb.step", _steps(Lamb), "AdamW(foreach=True).step", adam),
            compare("Lion.step", _steps(Lion), "AdamW(foreach=True).step", adam),
        ]


def _steps(make: Callable[[list[nn.Parameter]], torch.optim.Optimizer]) -> Callable[[], object]:
    torch.manual_seed(0)
    shapes = [(512, 512), (512, 128), (512,)] * 16
    parameters = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    optimizer = make(parameters)

    def run() -> None:
        for _ in range(STEPS):
            optimizer.step()

    return run
