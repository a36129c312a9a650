"""Compare an array of the learner's with the expected one, in words and in a picture."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from course_lib.labkit import picture
from course_lib.labkit.wording import kind_of, show

_AXES = ("row", "column")


def compare(got: Any, expected: np.ndarray, *, rel: float, absolute: float, drawn: bool = True) -> tuple[str, str]:
    """What is wrong with an array, and a drawing of it as SVG; two empty texts if nothing is.

    Args:
        got: Whatever the learner's function returned.
        expected: The right values; shape and dtype are required too.
        rel: Allowed difference as a fraction of the expected value.
        absolute: Allowed difference besides. NaN is right only where NaN is expected.
        drawn: Whether to draw a wrong array.
    """
    array, trouble = _as_array(got)
    if array is None:
        return f"returned {trouble}, expected an array of shape {expected.shape}, {expected.dtype}", ""
    if array.shape != expected.shape:
        return f"returned an array of shape {array.shape}, expected {expected.shape}", ""
    if str(trouble) != str(expected.dtype):
        return f"returned an array of {trouble}, expected {expected.dtype}", ""
    right = expected.astype(np.float64)
    with np.errstate(all="ignore"):
        difference = array - right
        fits = (array == right) | (abs(difference) <= absolute + rel * abs(right))
    # Only NaN differs from itself; a function of NumPy's that says so could have been replaced by the notebook.
    fits |= (array != array) & (right != right)
    if fits.all():
        return "", ""
    told = _in_words(array, right, fits)
    if not drawn:
        return told, ""
    return told, picture.panels([("expected", right), ("yours", array), ("difference", difference)], wrong=~fits)


def _as_array(got: Any) -> tuple[np.ndarray | None, str]:
    """The values in float64 and their own dtype's name; or None and what was returned instead."""
    torch = sys.modules.get("torch")
    if torch is not None and kind_of(got) is torch.Tensor:
        return got.detach().to(torch.float64).numpy(), str(got.dtype).removeprefix("torch.")
    if kind_of(got) is not np.ndarray:
        return None, f"{show(got)} ({kind_of(got).__name__})"
    if got.dtype.kind not in "biufV":
        return None, f"an array of {got.dtype}"
    return got.astype(np.float64), str(got.dtype)


def _in_words(array: np.ndarray, right: np.ndarray, fits: np.ndarray) -> str:
    wrong = np.argwhere(~fits)
    first = tuple(int(i) for i in wrong[0])
    where = (
        ", ".join(f"{axis} {i}" for axis, i in zip(_AXES, first, strict=True)) if len(first) == 2 else f"index {first}"
    )
    text = (
        f"is wrong in {len(wrong):,} of {fits.size:,} elements; the first is {where}: "
        f"{array[first]:.6g}, expected {right[first]:.6g}"
    )
    unread = int(np.isnan(array).sum())
    return text + (f"; {unread:,} are NaN, which often means that they were never written" if unread else "")
