"""A practice AWS account on loopback: moto with a clock that we turn, faults on demand, and what moto lacks."""

from course_lib.finops.cloud.faults import KINDS, Fault
from course_lib.finops.cloud.practice import PracticeAccount

__all__ = ["KINDS", "Fault", "PracticeAccount"]
