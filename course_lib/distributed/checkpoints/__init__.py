"""Checkpoints of a training run: whole or not there, and good for any number of ranks and any engine."""

from course_lib.distributed.checkpoints.errors import CheckpointError
from course_lib.distributed.checkpoints.manager import CheckpointManager, Restored

__all__ = ["CheckpointError", "CheckpointManager", "Restored"]
