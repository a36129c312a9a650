"""The same training runs through other people's engines."""

from course_lib.moe.backends.deepspeed_engine import deepspeed_engine

__all__ = ["deepspeed_engine"]
