"""Guardrails as code: Terraform modules for three clouds, a check for them, and the same in boto3 to compare with."""

from course_lib.finops.infrastructure.bucket import CheckpointBucket, make_bucket, plan_bucket
from course_lib.finops.infrastructure.check import Found, check_module
from course_lib.finops.infrastructure.look import differences, look_bucket, look_budget, look_instance, look_role
from course_lib.finops.infrastructure.places import CLOUDS, MODULES, modules, modules_in, write_modules
from course_lib.finops.infrastructure.reading import Module, read_module

__all__ = [
    "CLOUDS",
    "MODULES",
    "CheckpointBucket",
    "Found",
    "Module",
    "check_module",
    "differences",
    "look_bucket",
    "look_budget",
    "look_instance",
    "look_role",
    "make_bucket",
    "modules",
    "modules_in",
    "plan_bucket",
    "read_module",
    "write_modules",
]
