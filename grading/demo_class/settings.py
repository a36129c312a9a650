"""Tight limits for the demonstration class, so that its endless loops end soon."""

from grading.limits import MIB, Limits

CELL_SECONDS = 10
LIMITS = Limits(memory_bytes=1536 * MIB, wall_seconds=90, cpu_seconds=60, processes=64)
