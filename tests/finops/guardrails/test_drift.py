"""What somebody did to the guardrails by hand. Oracles: AWS's API references, and boto3's own view of the account."""

import json
from dataclasses import replace
from datetime import timedelta

from course_lib.finops.guardrails import apply_guardrails, plan_guardrails
from tests.finops.guardrails.conftest import ME

LOOSE = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})


def changes(plan):
    return [(line.change, line.kind, line.name) for line in plan.changes]


def test_an_alert_below_the_limit_or_of_dollars_is_not_the_planned_one(account, researchers, wanted):
    """Oracle: AWS Budgets' API reference: an alert's operator and its threshold's type are part of what it is."""
    budgets, which = account.client("budgets"), {"AccountId": ME, "BudgetName": "bert"}
    apply_guardrails(plan_guardrails(account, wanted()))
    real = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80.0}
    ada = {"SubscriptionType": "EMAIL", "Address": "ada@example.org"}
    for fake in ({"ComparisonOperator": "LESS_THAN"}, {"ThresholdType": "ABSOLUTE_VALUE"}):
        for one in budgets.describe_notifications_for_budget(**which)["Notifications"]:
            if one["NotificationType"] == "ACTUAL":
                plain = {key: value for key, value in one.items() if key != "NotificationState"}
                budgets.delete_notification(**which, Notification=plain)
        budgets.create_notification(**which, Notification={**real, **fake}, Subscribers=[ada])
        plan = plan_guardrails(account, wanted())
        assert changes(plan) == [("create", "alert", "bert at 80% actual")]
        assert ["is none of a share that is passed" in line.why for line in plan.drifts] == [True]


def test_a_budget_action_does_not_use_a_strangers_role(account, researchers, wanted):
    """Whoever made the role may have put any policy on it, and AWS Budgets would take it on."""
    trust = {"Effect": "Allow", "Principal": {"Service": "budgets.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    researchers.create_role(RoleName="guardrail-budgets", AssumeRolePolicyDocument=document)
    plan = plan_guardrails(account, wanted())
    assert ("action", "bert at 100% actual") in {(line.kind, line.name) for line in plan.drifts}
    apply_guardrails(plan)
    told = account.client("budgets").describe_budget_actions_for_budget(AccountId=ME, BudgetName="bert")
    assert told["Actions"] == []


def test_the_oldest_version_makes_room_and_the_last_ones_stay(account, researchers, wanted):
    """Oracle: IAM's list of versions; a policy has five at most."""
    apply_guardrails(plan_guardrails(account, wanted()))
    arn = f"arn:aws:iam::{ME}:policy/guardrail-boundary"
    for _ in range(4):
        account.advance(timedelta(minutes=1))
        researchers.create_policy_version(PolicyArn=arn, PolicyDocument=LOOSE, SetAsDefault=True)
    apply_guardrails(plan_guardrails(account, wanted()))
    versions = researchers.list_policy_versions(PolicyArn=arn)["Versions"]
    assert sorted(one["VersionId"] for one in versions) == ["v2", "v3", "v4", "v5", "v6"]


def test_a_budget_that_counts_something_else_is_put_back(account, researchers, wanted):
    """Oracle: AWS Budgets: filters decide what a limit counts; another project's spend would never reach it."""
    apply_guardrails(plan_guardrails(account, wanted()))
    budgets = account.client("budgets")
    told = budgets.describe_budget(AccountId=ME, BudgetName="bert")["Budget"]
    other = {"BudgetName": "bert", "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": told["BudgetLimit"]}
    other["CostFilters"] = {"TagKeyValue": ["user:project$nothing"]}
    budgets.update_budget(AccountId=ME, NewBudget=other)
    plan = plan_guardrails(account, wanted())
    assert changes(plan) == [("update", "budget", "bert")]
    apply_guardrails(plan)
    filters = budgets.describe_budget(AccountId=ME, BudgetName="bert")["Budget"]["CostFilters"]
    assert filters == {"TagKeyValue": ["user:project$bert"]}


def test_an_action_that_tells_or_stops_others_is_put_back(account, researchers, wanted):
    """Oracle: boto3's own view of the action."""
    account.client("iam").create_group(GroupName="interns")
    (budget,) = wanted().budgets
    for change in ({"groups": ("interns",)}, {"to": ("ben@example.org",)}):
        other = replace(budget, stops=(replace(budget.stops[0], **change),))
        apply_guardrails(plan_guardrails(account, wanted(budgets=(other,))))
        plan = plan_guardrails(account, wanted())
        assert ("update", "action", "bert at 100% actual") in changes(plan)
        apply_guardrails(plan)
        told = account.client("budgets").describe_budget_actions_for_budget(AccountId=ME, BudgetName="bert")
        (action,) = told["Actions"]
        assert action["Definition"]["IamActionDefinition"]["Groups"] == ["researchers"]
        assert [one["Address"] for one in action["Subscribers"]] == ["ada@example.org"]
