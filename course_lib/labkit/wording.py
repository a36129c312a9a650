"""Plain values compared and shown without asking a learner's object for anything that it could lie about."""

import sys
import traceback
from datetime import datetime
from pathlib import Path
from typing import Any

from course_lib.labkit.failures import NoResult

# Taken from literals: a notebook that rebinds `type` or `float` does not reach them.
kind_of = ().__class__.__class__
NUMBERS = ((0).__class__, (0.0).__class__)
EXACT = (*NUMBERS, True.__class__, "".__class__, None.__class__)
_COURSE = str(Path(__file__).parents[1])


def plain(value: Any) -> Any:
    """A NumPy scalar as the Python number that it stands for; anything else as it is."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and kind_of(value) in (numpy.float64, numpy.float32, numpy.int64, numpy.int32, numpy.bool_):
        return value.item()
    return value


def plain_data(value: Any) -> Any:
    """A copy of plain values in lists, tuples, sets and dictionaries, that a test may search and sort without danger.

    Raises:
        NoResult: for anything else: an object of the learner's might answer for itself, or never end.
    """
    value = plain(value)
    kind: Any = kind_of(value)
    if kind in EXACT or kind is datetime:
        return value
    if kind is {}.__class__:
        return {plain_data(key): plain_data(inner) for key, inner in value.items()}
    if kind in (().__class__, [].__class__, {0}.__class__, frozenset):
        return kind(plain_data(inner) for inner in value)
    raise NoResult(f"returned {show(value)} ({kind.__name__}), expected plain values in lists and dictionaries")


def same(got: Any, expected: Any) -> bool:
    """Equality of plain values and tuples of them: no object of the learner's answers for itself."""
    if kind_of(got) is not kind_of(expected):
        return False
    if kind_of(got) is not ().__class__:
        return kind_of(got) in EXACT and got == expected
    heads_agree = len(got) == len(expected) and (not got or same(plain(got[0]), expected[0]))
    return heads_agree and (not got or same(got[1:], expected[1:]))


def show(value: Any) -> str:
    """A short text for a value of any type, even one whose repr fails."""
    try:
        text = str(repr(value))
    except BaseException:  # noqa: BLE001 - a learner's __repr__ may raise anything
        return f"an object of type {kind_of(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."


def explain(error: BaseException, *, brief: bool) -> str:
    """What was raised, and the learner's line that raised it."""
    if brief:
        return f"raised {kind_of(error).__name__}"
    if kind_of(error) is NoResult:
        return str(error).replace("\n", "\n      ")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_COURSE)]
    where = f" at `{frames[-1].line}`" if frames and frames[-1].line else ""
    return f"raised {kind_of(error).__name__}: {str(error).strip()}{where}".replace("\n", "\n      ")
