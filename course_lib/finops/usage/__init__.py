"""Who spends what: the bill of the past from Cost Explorer, and this moment's spend from what runs.

`read_usage(account, start, end, by=["service"])` gives a `Usage`: rows (start, keys, usd as Decimal), `total`,
`totals()`, `series(keys=None)` (a `SpendSeries` with zeros for missing steps), `scopes()`, `frame()`, `incomplete`
(steps at the end that are not on the bill yet) and `calls`. `running_now(account)` gives a `Running`: instances with
owner, project and USD per hour, and sums `by("owner")`; `reconcile(running, usage)` holds it against the bill.
"""

from course_lib.finops.usage.bill import LATE, USD_PER_CALL, Usage, UsageRow, scope_name
from course_lib.finops.usage.read import DIMENSIONS, UsageError, read_usage
from course_lib.finops.usage.running import Reconciled, Running, RunningInstance, reconcile, running_now
from course_lib.finops.usage.series import DAY, HOUR, SpendSeries, daily

__all__ = [
    "DAY",
    "DIMENSIONS",
    "HOUR",
    "LATE",
    "USD_PER_CALL",
    "Reconciled",
    "Running",
    "RunningInstance",
    "SpendSeries",
    "Usage",
    "UsageError",
    "UsageRow",
    "daily",
    "read_usage",
    "reconcile",
    "running_now",
    "scope_name",
]
