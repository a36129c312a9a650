"""The adapter in use added to the weights, so that it costs no time, and taken out again, bit for bit."""

from __future__ import annotations

from torch import nn

from course_lib.moe.errors import MoEError
from course_lib.moe.lora.sites import sites


def merge_lora(model: nn.Module) -> None:
    """Add the adapter in use to the weights.

    The weights as they were are kept beside, so that `unmerge_lora` restores them exactly: until then, or until
    `remove_lora`, adapted weights need twice their memory.

    Raises:
        MoEError: when no adapter is in use, or one is merged already.
    """
    found = sites(model)
    if any(site.adapters.base is not None for site in found):
        raise MoEError.of("model", type(model).__name__, "has a merged adapter already", "call unmerge_lora(model)")
    if all(site.adapters.active is None for site in found):
        raise MoEError.of("model", type(model).__name__, "has no adapter in use", "call apply_lora or use_adapter")
    for site in found:
        site.adapters.merge(site.weight)


def unmerge_lora(model: nn.Module) -> None:
    """Restore the weights from before `merge_lora`, bit for bit; the adapter runs beside them again.

    Raises:
        MoEError: when nothing is merged.
    """
    found = sites(model)
    if all(site.adapters.base is None for site in found):
        raise MoEError.of("model", type(model).__name__, "has no merged adapter", "call merge_lora(model) first")
    for site in found:
        site.adapters.unmerge(site.weight)
