"""The job that keeps the page fresh: collect, render, publish, in one call, on whatever runs Python on a schedule.

On AWS Lambda the handler is `course_lib.finops.dashboard.handler`, started by an EventBridge schedule such as
rate(1 hour); on a machine of your own it is a line of cron with `course finops dashboard publish BUCKET --apply`. The
bill changes a few times a day and each reading costs cents, so more often than hourly shows little that is new.
Source: https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html.
"""

from __future__ import annotations

import os
from typing import Any

from course_lib.finops.aws import Clients, RealAccount
from course_lib.finops.dashboard.collect import collect
from course_lib.finops.dashboard.page import render
from course_lib.finops.dashboard.publish import PublishPlan, publish
from course_lib.finops.errors import FinopsError


def update(
    account: Clients, bucket: str, *, prefix: str = "", public: bool = False, apply: bool = True, **asked: Any
) -> PublishPlan:
    """Read the account, and replace the page in a bucket.

    Args:
        account: whose.
        bucket, prefix, public: see `plan_publish`.
        apply: False plans only.
        asked: for `collect`.

    Raises:
        FinopsError: see `collect`, `render` and `plan_publish`; the old page stays.
    """
    data = collect(account, **asked)
    return publish(account, bucket, render(data), data.now, prefix=prefix, public=public, apply=apply)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """For AWS Lambda; the environment names the bucket (DASHBOARD_BUCKET), its folder, and the bucket of bills.

    Raises:
        FinopsError: without DASHBOARD_BUCKET, or what `update` raises; Lambda then counts an error and tries again.
    """
    bucket = os.environ.get("DASHBOARD_BUCKET", "")
    if not bucket:
        raise FinopsError.of("DASHBOARD_BUCKET", bucket, "names no bucket", "set it in the function's environment")
    prefix, bills = os.environ.get("DASHBOARD_PREFIX", ""), os.environ.get("DASHBOARD_BILLS") or None
    plan = update(RealAccount(), bucket, prefix=prefix, bills=bills)
    return {"bucket": bucket, "keys": [one.key for one in plan.writes if one.needed], "bytes": len(plan.page)}
