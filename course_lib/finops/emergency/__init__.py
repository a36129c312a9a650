"""The emergency shutdown: a plan that is looked at, saved and confirmed, and then carried out."""

from course_lib.finops.emergency.apply import EmergencyReport, Outcome, carry_out
from course_lib.finops.emergency.findings import Machine, Orphan, Starter
from course_lib.finops.emergency.plan import EmergencyError, EmergencyPlan, load_plan, make_plan, save_plan

__all__ = [
    "EmergencyError",
    "EmergencyPlan",
    "EmergencyReport",
    "Machine",
    "Orphan",
    "Outcome",
    "Starter",
    "carry_out",
    "load_plan",
    "make_plan",
    "save_plan",
]
