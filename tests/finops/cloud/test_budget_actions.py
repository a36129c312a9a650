"""Budget actions that fire. Oracles: IAM's and EC2's own view through boto3, botocore's service model for every shape,
and the documented statuses of an action (cost-management user guide, budgets-action-review)."""

import json
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from course_lib.catalog import instance

HOUR = timedelta(hours=1)
ME = "123456789012"
ROLE = f"arn:aws:iam::{ME}:role/budgets"
STOP = f"arn:aws:iam::{ME}:policy/stop"
P5 = instance("p5.48xlarge").usd_per_hour()


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture
def iam(account):
    """A user who may be stopped, a policy that stops, and a role that AWS Budgets may take on to attach it."""
    iam = account.client("iam")
    iam.create_user(UserName="ada")
    deny = {"Effect": "Deny", "Action": "ec2:RunInstances", "Resource": "*"}
    iam.create_policy(PolicyName="stop", PolicyDocument=policy(deny))
    trust = {"Effect": "Allow", "Principal": {"Service": "budgets.amazonaws.com"}, "Action": "sts:AssumeRole"}
    iam.create_role(RoleName="budgets", AssumeRolePolicyDocument=policy(trust))
    may = {"Effect": "Allow", "Action": ["iam:AttachUserPolicy", "iam:DetachUserPolicy"], "Resource": "*"}
    stop = {"Effect": "Allow", "Action": ["ec2:StopInstances", "ec2:StartInstances"], "Resource": "*"}
    iam.put_role_policy(RoleName="budgets", PolicyName="may", PolicyDocument=policy(may, stop))
    return iam


@pytest.fixture
def budgets(account, iam):
    budgets = account.client("budgets")
    limit = {"BudgetLimit": {"Amount": "100", "Unit": "USD"}}
    budget = {"BudgetName": "lab", "BudgetType": "COST", "TimeUnit": "MONTHLY", **limit}
    budgets.create_budget(AccountId=ME, Budget=budget)
    return budgets


def asked(**more):
    return {
        "AccountId": ME,
        "BudgetName": "lab",
        "NotificationType": "ACTUAL",
        "ActionType": "APPLY_IAM_POLICY",
        "ActionThreshold": {"ActionThresholdValue": 80.0, "ActionThresholdType": "PERCENTAGE"},
        "Definition": {"IamActionDefinition": {"PolicyArn": STOP, "Users": ["ada"]}},
        "ExecutionRoleArn": ROLE,
        "ApprovalModel": "AUTOMATIC",
        "Subscribers": [{"SubscriptionType": "EMAIL", "Address": "ada@example.org"}],
        **more,
    }


def put(budgets, **more):
    made = budgets.create_budget_action(**asked(**more))
    return {key: made[key] for key in ("AccountId", "BudgetName", "ActionId")}


def status(budgets, action):
    return budgets.describe_budget_action(**action)["Action"]["Status"]


def attached(iam):
    return [one["PolicyArn"] for one in iam.list_attached_user_policies(UserName="ada")["AttachedPolicies"]]


def test_an_automatic_action_attaches_the_policy_at_the_refresh(account, budgets, iam, launch):
    action = put(budgets)
    launch(InstanceType="p5.48xlarge")
    crossed = 80 / P5 * HOUR
    account.advance(crossed + HOUR)
    assert (status(budgets, action), attached(iam)) == ("STANDBY", [])  # spent, and nobody knows yet
    account.advance(24 * HOUR)
    assert (status(budgets, action), attached(iam)) == ("EXECUTION_SUCCESS", [STOP])
    mails = [one["parameters"]["to"] for one in account.records() if one["operation"] == "alert"]
    assert mails == ["ada@example.org"]


def test_a_manual_action_waits_until_it_is_approved(account, budgets, iam, launch):
    action = put(budgets, ApprovalModel="MANUAL")
    launch(InstanceType="p5.48xlarge")
    account.advance(48 * HOUR)
    assert (status(budgets, action), attached(iam)) == ("PENDING", [])
    budgets.execute_budget_action(**action, ExecutionType="APPROVE_BUDGET_ACTION")
    assert (status(budgets, action), attached(iam)) == ("EXECUTION_SUCCESS", [STOP])
    with pytest.raises(ClientError, match=r"InvalidParameterException.*must be PENDING"):
        budgets.execute_budget_action(**action, ExecutionType="APPROVE_BUDGET_ACTION")


def test_an_action_can_be_undone_and_stand_by_again(account, budgets, iam, launch):
    action = put(budgets)
    launch(InstanceType="p5.48xlarge")
    account.advance(24 * HOUR)
    budgets.execute_budget_action(**action, ExecutionType="REVERSE_BUDGET_ACTION")
    assert (status(budgets, action), attached(iam)) == ("REVERSE_SUCCESS", [])
    account.advance(24 * HOUR)
    assert attached(iam) == []  # not looked at again in this period
    budgets.execute_budget_action(**action, ExecutionType="RESET_BUDGET_ACTION")
    account.advance(9 * HOUR)
    assert (status(budgets, action), attached(iam)) == ("EXECUTION_SUCCESS", [STOP])
    told = budgets.describe_budget_action_histories(**action)["ActionHistories"]
    events = [(one["EventType"], one["Status"]) for one in reversed(told)]
    assert events == [
        ("CREATE_ACTION", "STANDBY"),
        ("SYSTEM", "EXECUTION_SUCCESS"),
        ("EXECUTE_ACTION", "REVERSE_SUCCESS"),
        ("EXECUTE_ACTION", "STANDBY"),
        ("SYSTEM", "EXECUTION_SUCCESS"),
    ]
    assert all(one["ActionHistoryDetails"]["Action"]["ActionId"] == action["ActionId"] for one in told)


def test_a_role_that_may_not_makes_the_action_fail_until_it_may(account, budgets, iam, launch):
    iam.delete_role_policy(RoleName="budgets", PolicyName="may")
    action = put(budgets)
    launch(InstanceType="p5.48xlarge")
    account.advance(24 * HOUR)
    assert (status(budgets, action), attached(iam)) == ("EXECUTION_FAILURE", [])
    (failed, _) = budgets.describe_budget_action_histories(**action)["ActionHistories"]
    assert "the execution role may not" in failed["ActionHistoryDetails"]["Message"]
    may = {"Effect": "Allow", "Action": "iam:AttachUserPolicy", "Resource": "*"}
    iam.put_role_policy(RoleName="budgets", PolicyName="may", PolicyDocument=policy(may))
    budgets.execute_budget_action(**action, ExecutionType="RETRY_BUDGET_ACTION")
    assert attached(iam) == [STOP]


def test_stopping_instances_reaches_only_those_that_are_named(account, budgets, launch, state):
    named, later = launch(InstanceType="p5.48xlarge"), launch()
    stop = {"ActionSubType": "STOP_EC2_INSTANCES", "Region": "us-east-1", "InstanceIds": [named]}
    put(budgets, ActionType="RUN_SSM_DOCUMENTS", Definition={"SsmActionDefinition": stop})
    account.advance(24 * HOUR)
    assert (state(named), state(later)) == ("stopped", "running")


def test_a_new_period_lets_an_action_stand_by_and_leaves_what_it_attached(account, budgets, iam, launch):
    action = put(budgets)
    launch(InstanceType="p5.48xlarge", UserData="#!/bin/sh\nshutdown +600\n")
    account.advance(24 * HOUR)
    assert status(budgets, action) == "EXECUTION_SUCCESS"
    account.advance(timedelta(days=31))
    assert (status(budgets, action), attached(iam)) == ("STANDBY", [STOP])


def test_actions_are_listed_in_pages_changed_and_deleted(account, budgets):
    first = put(budgets)
    for percent in (50.0, 60.0):
        put(budgets, ActionThreshold={"ActionThresholdValue": percent, "ActionThresholdType": "PERCENTAGE"})
    for operation, more in (("for_budget", {"BudgetName": "lab"}), ("for_account", {})):
        found = budgets.get_paginator(f"describe_budget_actions_{operation}").paginate(
            AccountId=ME, PaginationConfig={"PageSize": 2}, **more
        )
        assert [len(page["Actions"]) for page in found] == [2, 1]
    with pytest.raises(ClientError, match="InvalidNextTokenException"):
        budgets.describe_budget_actions_for_account(AccountId=ME, NextToken="?")
    changed = budgets.update_budget_action(**first, ApprovalModel="MANUAL")
    assert (changed["OldAction"]["ApprovalModel"], changed["NewAction"]["ApprovalModel"]) == ("AUTOMATIC", "MANUAL")
    budgets.delete_budget_action(**first)
    with pytest.raises(ClientError, match="NotFoundException"):
        budgets.describe_budget_action(**first)
    budgets.delete_budget(AccountId=ME, BudgetName="lab")
    assert budgets.describe_budget_actions_for_account(AccountId=ME)["Actions"] == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"BudgetName": "other"}, "NotFoundException"),
        ({"ExecutionRoleArn": f"arn:aws:iam::{ME}:role/missing"}, "AccessDeniedException.*required to assume"),
        ({"Definition": {"IamActionDefinition": {"PolicyArn": STOP}}}, "InvalidParameterException.*at least one role"),
        ({"ActionType": "RUN_SSM_DOCUMENTS"}, "InvalidParameterException.*SsmActionDefinition"),
    ],
)
def test_what_aws_refuses_is_refused(budgets, more, said):
    with pytest.raises(ClientError, match=said):
        put(budgets, **more)


def test_a_role_that_does_not_trust_budgets_is_refused(budgets, iam):
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    iam.update_assume_role_policy(RoleName="budgets", PolicyDocument=policy(trust))
    with pytest.raises(ClientError, match="AccessDeniedException"):
        put(budgets)


def test_every_answer_has_the_members_of_the_service_model(budgets):
    """The model's required members are there, and botocore's parser drops what the model doesn't know."""
    action = put(budgets)
    answers = {
        "CreateBudgetAction": budgets.create_budget_action(**asked(NotificationType="FORECASTED")),
        "DescribeBudgetAction": budgets.describe_budget_action(**action),
        "DescribeBudgetActionsForBudget": budgets.describe_budget_actions_for_budget(AccountId=ME, BudgetName="lab"),
        "DescribeBudgetActionsForAccount": budgets.describe_budget_actions_for_account(AccountId=ME),
        "DescribeBudgetActionHistories": budgets.describe_budget_action_histories(**action),
        "UpdateBudgetAction": budgets.update_budget_action(**action, ApprovalModel="MANUAL"),
        "DeleteBudgetAction": budgets.delete_budget_action(**action),
    }

    def lacking(shape, value, path):
        if shape.type_name == "structure":
            yield from (f"{path}.{name}" for name in shape.required_members if name not in value)
            for name, member in shape.members.items():
                if name in value:
                    yield from lacking(member, value[name], f"{path}.{name}")
        elif shape.type_name == "list":
            for item in value:
                yield from lacking(shape.member, item, f"{path}[]")

    model = budgets.meta.service_model
    for name, answer in answers.items():
        assert list(lacking(model.operation_model(name).output_shape, answer, name)) == []
