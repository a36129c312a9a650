"""A demonstration class: submissions of every kind that a grader meets, made from the released lab."""

from grading.demo_class.class_folder import prepare
from grading.demo_class.make import expected, make, remove, undeserved
from grading.demo_class.settings import CELL_SECONDS, LIMITS

__all__ = ["CELL_SECONDS", "LIMITS", "expected", "make", "prepare", "remove", "undeserved"]
