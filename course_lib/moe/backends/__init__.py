"""The same training runs through other people's engines."""

from course_lib.moe.backends.deepspeed_engine import deepspeed_engine
from course_lib.moe.backends.deepspeed_layer import check_layer

__all__ = ["check_layer", "deepspeed_engine"]
