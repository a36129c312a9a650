"""What this account does beside moto: calls that it answers itself, and what follows from calls that succeeded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from course_lib.finops.cloud.budget_calls import list_tags, subscribers, update_budget
from course_lib.finops.cloud.cost_explorer import cost_and_usage, dimension_values, tag_values
from course_lib.finops.cloud.instances import after_run, after_stop, check_type, shutdown_behavior
from course_lib.finops.cloud.spot_prices import spot_price_history
from course_lib.finops.cloud.wire import ApiCall

# By name of the call: gives the result instead of moto, or None to let moto answer, or raises an ApiError.
BEFORE: dict[str, Callable[[Any, ApiCall], dict[str, Any] | None]] = {
    "budgets.UpdateBudget": update_budget,
    "budgets.DescribeSubscribersForNotification": subscribers,
    "budgets.ListTagsForResource": list_tags,
    "ce.GetCostAndUsage": cost_and_usage,
    "ce.GetDimensionValues": dimension_values,
    "ce.GetTags": tag_values,
    "ec2.RunInstances": check_type,
    "ec2.ModifyInstanceAttribute": shutdown_behavior,
    "ec2.DescribeSpotPriceHistory": spot_price_history,
}
# By name of the call: runs after it succeeded, with the answer's status, headers and body.
AFTER: dict[str, tuple[Callable[[Any, ApiCall, int, dict[str, str], bytes], None], ...]] = {
    "ec2.RunInstances": (after_run,),
    "ec2.StopInstances": (after_stop,),
    "ec2.RebootInstances": (after_stop,),
}
