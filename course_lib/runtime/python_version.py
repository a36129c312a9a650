"""Which Python versions the pins cover; set-up and the doctor ask the same question. Standard library only."""

from __future__ import annotations

import sys

SUPPORTED = ((3, 11), (3, 14))  # from, below: pyproject's requires-python


def is_supported() -> bool:
    """Whether the running interpreter is one that the pins cover."""
    low, high = SUPPORTED
    return low <= sys.version_info[:2] < high


def running() -> str:
    """The running interpreter's version, such as 3.11.7."""
    return ".".join(map(str, sys.version_info[:3]))
