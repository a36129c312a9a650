"""The dashboard: what was spent, what runs, what is unusual, what comes next and who pays, as one static HTML page.

data = collect(account, bills="bills/billing")       # reads; each part is data or the reason why it is not there
page = render(data)                                  # HTML without a script or a request
publish(account, "dashboards", page, data.now)       # a plan; apply=True writes it
update(account, "dashboards")                        # all three: what a job calls
"""

from course_lib.finops.dashboard.collect import collect
from course_lib.finops.dashboard.data import (
    BudgetState,
    DashboardData,
    Leased,
    MonthToDate,
    RunsNow,
    Unread,
)
from course_lib.finops.dashboard.job import handler, update
from course_lib.finops.dashboard.page import LARGEST_BYTES, render
from course_lib.finops.dashboard.publish import PublishError, PublishPlan, Write, apply_publish, plan_publish, publish

__all__ = [
    "LARGEST_BYTES",
    "BudgetState",
    "DashboardData",
    "Leased",
    "MonthToDate",
    "PublishError",
    "PublishPlan",
    "RunsNow",
    "Unread",
    "Write",
    "apply_publish",
    "collect",
    "handler",
    "plan_publish",
    "publish",
    "render",
    "update",
]
