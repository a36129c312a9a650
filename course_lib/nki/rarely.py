"""Makes Python look for cyclic garbage less often while a kernel runs.

A record keeps some ten objects for each instruction. Python counts them and, at its usual thresholds, walks through
all objects of the process again and again, for a third of a profile's time when PyTorch is loaded.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_YOUNG = 100_000  # new objects between two looks at the young ones; the usual number is 700 or 2,000

_lock = threading.Lock()
_within = 0
_before = (0, 0, 0)


@contextmanager
def rare_collections() -> Iterator[None]:
    """While it lasts, collections are rare; the outermost one of several, in any thread, sets and restores that.

    A process that has switched collection off, or made it rarer still, is left as it is.
    """
    global _within, _before
    with _lock:
        _within += 1
        if _within == 1:
            _before = gc.get_threshold()
            if 0 < _before[0] < _YOUNG:
                gc.set_threshold(_YOUNG, *_before[1:])
    try:
        yield
    finally:
        with _lock:
            _within -= 1
            if _within == 0:
                gc.set_threshold(*_before)
