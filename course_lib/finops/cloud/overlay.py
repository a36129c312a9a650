"""What this account does beside moto: calls that it answers itself, and what follows from calls that succeeded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from course_lib.finops.cloud import (
    allocation_tags,
    anomaly_calls,
    batch_jobs,
    budget_action_calls,
    budget_calls,
    export_calls,
    owners,
    quotas,
)
from course_lib.finops.cloud.block_offerings import block_offerings
from course_lib.finops.cloud.cost_explorer import (
    cost_and_usage,
    cost_and_usage_with_resources,
    dimension_values,
    tag_values,
)
from course_lib.finops.cloud.cost_forecast import cost_forecast
from course_lib.finops.cloud.functions import after_invoke
from course_lib.finops.cloud.instances import after_run, after_stop, check_stop, shutdown_behavior
from course_lib.finops.cloud.launch_check import check_launch
from course_lib.finops.cloud.managed_policies import load_policy
from course_lib.finops.cloud.pricing_calls import attribute_values, describe_services, products
from course_lib.finops.cloud.regions import describe_regions
from course_lib.finops.cloud.schedule_check import check_schedule
from course_lib.finops.cloud.schedule_groups import check_new_group
from course_lib.finops.cloud.spot_prices import spot_price_history
from course_lib.finops.cloud.wire import ApiCall

# By name of the call: gives the result instead of moto, or None to let moto answer, or raises an ApiError.
BEFORE: dict[str, Callable[[Any, ApiCall], dict[str, Any] | None]] = {
    "batch.CreateComputeEnvironment": batch_jobs.create_environment,
    "batch.SubmitJob": batch_jobs.submit,
    "batch.TerminateJob": batch_jobs.end,
    "batch.CancelJob": batch_jobs.end,
    "batch.DeleteJobQueue": batch_jobs.check_queue_closed,
    "batch.DeleteComputeEnvironment": batch_jobs.check_environment_free,
    "bcm-data-exports.CreateExport": export_calls.create,
    "bcm-data-exports.GetExport": export_calls.get,
    "bcm-data-exports.ListExports": export_calls.list_exports,
    "bcm-data-exports.DeleteExport": export_calls.delete,
    "bcm-data-exports.ListExecutions": export_calls.list_executions,
    "bcm-data-exports.GetExecution": export_calls.get_execution,
    "budgets.CreateBudget": budget_calls.check_budget,
    "budgets.UpdateBudget": budget_calls.update_budget,
    "budgets.DescribeSubscribersForNotification": budget_calls.subscribers,
    "budgets.CreateSubscriber": budget_calls.add_subscriber,
    "budgets.ListTagsForResource": budget_calls.list_tags,
    "budgets.TagResource": budget_calls.tag_resource,
    "budgets.DescribeBudgetPerformanceHistory": budget_calls.performance_history,
    "budgets.CreateBudgetAction": budget_action_calls.create,
    "budgets.DescribeBudgetAction": budget_action_calls.describe,
    "budgets.DescribeBudgetActionsForBudget": budget_action_calls.describe_all,
    "budgets.DescribeBudgetActionsForAccount": budget_action_calls.describe_all,
    "budgets.DescribeBudgetActionHistories": budget_action_calls.histories,
    "budgets.ExecuteBudgetAction": budget_action_calls.execute,
    "budgets.UpdateBudgetAction": budget_action_calls.update,
    "budgets.DeleteBudgetAction": budget_action_calls.delete,
    "ce.CreateAnomalyMonitor": anomaly_calls.create_monitor,
    "ce.CreateAnomalySubscription": anomaly_calls.create_subscription,
    "ce.DeleteAnomalyMonitor": anomaly_calls.delete_monitor,
    "ce.DeleteAnomalySubscription": anomaly_calls.delete_subscription,
    "ce.GetAnomalies": anomaly_calls.anomalies,
    "ce.GetAnomalyMonitors": anomaly_calls.monitors,
    "ce.GetAnomalySubscriptions": anomaly_calls.subscriptions,
    "ce.GetCostAndUsage": cost_and_usage,
    "ce.GetCostAndUsageWithResources": cost_and_usage_with_resources,
    "ce.GetCostForecast": cost_forecast,
    "ce.GetDimensionValues": dimension_values,
    "ce.GetTags": tag_values,
    "ce.ListCostAllocationTags": allocation_tags.list_tags,
    "ce.ProvideAnomalyFeedback": anomaly_calls.feedback,
    "ce.UpdateCostAllocationTagsStatus": allocation_tags.update_status,
    "ec2.CreateTags": owners.check_resources,
    "ec2.DeleteTags": owners.check_resources,
    "ec2.RunInstances": check_launch,
    "ec2.StartInstances": quotas.check_start,
    "ec2.StopInstances": check_stop,
    "ec2.ModifyInstanceAttribute": shutdown_behavior,
    "ec2.DescribeRegions": describe_regions,
    "ec2.DescribeCapacityBlockOfferings": block_offerings,
    "ec2.DescribeSpotPriceHistory": spot_price_history,
    "iam.AttachGroupPolicy": load_policy,
    "iam.AttachRolePolicy": load_policy,
    "iam.AttachUserPolicy": load_policy,
    "resourcegroupstaggingapi.TagResources": owners.tag_by_arn,
    "resourcegroupstaggingapi.UntagResources": owners.tag_by_arn,
    "scheduler.CreateSchedule": check_schedule,
    "scheduler.UpdateSchedule": check_schedule,
    "scheduler.CreateScheduleGroup": check_new_group,
    "service-quotas.ListServiceQuotas": quotas.list_quotas,
    "service-quotas.GetServiceQuota": quotas.get_quota,
    "service-quotas.ListAWSDefaultServiceQuotas": quotas.list_default_quotas,
    "service-quotas.GetAWSDefaultServiceQuota": quotas.get_default_quota,
    "service-quotas.RequestServiceQuotaIncrease": quotas.request_increase,
    "service-quotas.ListRequestedServiceQuotaChangeHistory": quotas.history,
    "service-quotas.ListRequestedServiceQuotaChangeHistoryByQuota": quotas.history,
    "pricing.DescribeServices": describe_services,
    "pricing.GetAttributeValues": attribute_values,
    "pricing.GetProducts": products,
}
# By name of the call: runs after it succeeded, with the answer's status, headers and body.
AFTER: dict[str, tuple[Callable[[Any, ApiCall, int, dict[str, str], bytes], None], ...]] = {
    "budgets.CreateBudget": (budget_calls.after_create,),
    "budgets.DeleteBudget": (budget_calls.after_delete,),
    "ec2.RunInstances": (after_run,),
    "lambda.Invoke": (after_invoke,),
    "ec2.StopInstances": (after_stop,),
    "ec2.RebootInstances": (after_stop,),
}
