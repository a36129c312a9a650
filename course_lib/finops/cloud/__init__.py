"""A practice AWS account on loopback: moto with a clock that we turn, faults on demand, and what moto lacks."""

from course_lib.finops.cloud.back_door import BackDoor
from course_lib.finops.cloud.daemon import Running, down, find, up
from course_lib.finops.cloud.faults import KINDS, Fault
from course_lib.finops.cloud.practice import PracticeAccount
from course_lib.finops.cloud.story import Label, Told, seed
from course_lib.finops.cloud.telling import happened
from course_lib.finops.cloud.visit import Visit

__all__ = [
    "KINDS",
    "BackDoor",
    "Fault",
    "Label",
    "PracticeAccount",
    "Running",
    "Told",
    "Visit",
    "down",
    "find",
    "happened",
    "seed",
    "up",
]
