"""Which device a rank computes on and which backend carries its messages, chosen in this one place.

Everything above asks for a `Hardware` and never names cuda, hpu or neuron itself, so that one training script runs on
a laptop (cpu + gloo), on NVIDIA GPUs (cuda + nccl), on Trainium (neuron) and on Gaudi (hpu + hccl).
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from course_lib.runtime.packages import is_stub

if TYPE_CHECKING:
    import torch

Kind = Literal["cpu", "cuda", "neuron", "hpu"]
BACKENDS: dict[Kind, str] = {"cpu": "gloo", "cuda": "nccl", "neuron": "neuron", "hpu": "hccl"}
# The package that brings a device which stock PyTorch does not know, and what importing it registers.
BRIDGES: dict[Kind, str] = {"neuron": "torch_neuronx", "hpu": "habana_frameworks.torch.core"}


class HardwareError(ValueError):
    """The hardware asked for is not on this machine, or its software is not installed."""


@dataclass(frozen=True)
class Hardware:
    """One kind of device together with the collective backend that goes with it.

    Args:
        kind: "cpu", "cuda", "neuron" or "hpu": PyTorch's name of the device type.
        backend: "gloo", "nccl", "neuron" or "hccl": torch.distributed's name of the backend.
    """

    kind: Kind
    backend: str

    def device(self, local_rank: int = 0) -> torch.device:
        """The device of one rank on this machine; every rank shares "cpu"."""
        import torch

        return torch.device("cpu") if self.kind == "cpu" else torch.device(self.kind, local_rank)

    def claim(self, local_rank: int) -> torch.device:
        """Make a rank's device the current one, as the collective backends expect, and return it."""
        import torch

        device = self.device(local_rank)
        if self.kind != "cpu":
            torch.get_device_module(device).set_device(local_rank)
        return device

    def synchronize(self) -> None:
        """Wait until the device has done what was asked of it; a clock read before that times the asking."""
        import torch

        if self.kind != "cpu":
            torch.get_device_module(self.kind).synchronize()

    @property
    def count(self) -> int | None:
        """Devices on this machine; None on the CPU, which any number of ranks can share."""
        import torch

        return None if self.kind == "cpu" else int(torch.get_device_module(self.kind).device_count())


def hardware(kind: str = "auto") -> Hardware:
    """The hardware to run on.

    Args:
        kind: "cpu", "cuda", "neuron", "hpu", or "auto" for the first of cuda, hpu, neuron and cpu that works here.

    Returns:
        Device type and backend.

    Raises:
        HardwareError: for an unknown kind, or one that this machine does not have.

    Source: torch.distributed's backend table (docs.pytorch.org/docs/stable/distributed.html); AWS Neuron docs, "Native
        PyTorch" for the `neuron` device; Intel Gaudi docs, "PyTorch Gaudi Theory of Operations" for `hpu` and `hccl`.
    """
    if kind == "auto":
        usable: list[Kind] = ["cuda", "hpu", "neuron"]
        found: Kind = next((k for k in usable if _missing(k) is None), "cpu")
        return Hardware(found, BACKENDS[found])
    for known, backend in BACKENDS.items():
        if known == kind:
            reason = _missing(known)
            if reason:
                raise HardwareError(f"hardware {kind!r} can't be used here: {reason}. Remedy: hardware('cpu').")
            return Hardware(known, backend)
    raise HardwareError(f"hardware {kind!r} is not known. Remedy: use auto, {', '.join(BACKENDS)}.")


def _missing(kind: Kind) -> str | None:
    """Why a kind of device can't be used; None when it can."""
    import torch

    if kind == "cpu":
        return None
    if kind == "cuda":
        return None if torch.cuda.is_available() else "PyTorch sees no NVIDIA GPU"
    bridge = BRIDGES[kind]
    package = bridge.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        return f"{package} is not installed"
    if kind == "neuron" and is_stub(package):
        return f"{package} here is PyPI's empty stub; the real one comes from the vendor's own index"
    importlib.import_module(bridge)  # registers the device type with torch
    module = getattr(torch, kind, None)
    if module is None or not module.is_available():
        return f"{package} is installed, but it finds no {kind} device"
    return None
