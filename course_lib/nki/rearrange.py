"""Plans `NkiTensor.rearrange`: einops-like patterns of names, written as tuples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from course_lib.nki.errors import broken_rule


def _groups(pattern: Sequence[Any]) -> list[tuple[str, ...]]:
    return [(entry,) if isinstance(entry, str) else tuple(entry) for entry in pattern]


def plan_rearrange(
    shape: tuple[int, ...], source: Sequence[Any], target: Sequence[Any], sizes: dict[str, int]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Three steps that make `source` into `target`.

    Returns:
        The shape with every named dimension apart, the order of these dimensions, the shape after merging.

    Raises:
        NkiValidationError: when names or sizes don't fit.
    """
    before, after = _groups(source), _groups(target)
    names = [name for group in before for name in group]
    wanted = [name for group in after for name in group]
    if len(before) != len(shape) or sorted(names) != sorted(wanted) or len(set(names)) != len(names):
        raise broken_rule(
            f"rearrange {tuple(source)} to {tuple(target)} for shape {shape}",
            limit="one entry per dimension, and the same names, each once, on both sides",
        )
    known = dict(sizes)
    for group, length in zip(before, shape, strict=True):
        missing = [name for name in group if name not in known]
        given = math.prod(known[name] for name in group if name in known)
        if len(missing) > 1 or length % given or (not missing and given != length):
            raise broken_rule(
                f"rearrange: sizes {sizes} for {group}, whose dimension has {length}",
                limit="all sizes but one must be known, and their product must divide the dimension",
            )
        if missing:
            known[missing[0]] = length // given
    return (
        tuple(known[name] for name in names),
        tuple(names.index(name) for name in wanted),
        tuple(math.prod(known[name] for name in group) for group in after),
    )
