"""Instances that end by themselves: leases, launches in layers, the reaper."""

from course_lib.finops.ephemeral.borrow import borrow, give_back
from course_lib.finops.ephemeral.ending import end_instances
from course_lib.finops.ephemeral.launch import (
    Launched,
    LaunchError,
    LaunchPlan,
    LaunchRequest,
    launch,
    plan_launch,
)
from course_lib.finops.ephemeral.lease import (
    EXPIRES,
    OWNER,
    PROJECT,
    PROTECTED,
    Lease,
    LeaseError,
    is_protected,
    read_lease,
)
from course_lib.finops.ephemeral.reaper import Sweep, TooManyError, Verdict, judge, sweep
from course_lib.finops.ephemeral.schedule import GROUP, MANAGED, make_group, schedule_end
from course_lib.finops.ephemeral.trying import try_launch

__all__ = [
    "EXPIRES",
    "GROUP",
    "MANAGED",
    "OWNER",
    "PROJECT",
    "PROTECTED",
    "LaunchError",
    "LaunchPlan",
    "LaunchRequest",
    "Launched",
    "Lease",
    "LeaseError",
    "Sweep",
    "TooManyError",
    "Verdict",
    "borrow",
    "end_instances",
    "give_back",
    "is_protected",
    "judge",
    "launch",
    "make_group",
    "plan_launch",
    "read_lease",
    "schedule_end",
    "sweep",
    "try_launch",
]
