"""How checkpoints refuse: one error type whose message names the file or tensor and the remedy."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A checkpoint could not be written, or can't be loaded into this run; the same on every rank."""
