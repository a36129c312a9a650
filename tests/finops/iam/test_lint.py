"""Generated policies, checked by others. Oracle: parliament (a linter) and policy_sentry (AWS's list of actions).

Both know AWS's Service Authorization Reference: every action, resource type and condition key.
"""

import json

import parliament
import pytest
from moto.iam.policy_validation import IAMPolicyDocumentValidator
from policy_sentry.analysis import expand
from policy_sentry.querying import actions

from course_lib.finops.iam import (
    Launch,
    budget_action_deny_policy,
    launch_policy,
    no_detours_scp,
    permission_boundary,
    protect_guardrails_scp,
    read_only_cost_policy,
    reaper_policy,
    requests_for_run_instances,
    stay_in_regions_scp,
    tagged_launches_scp,
)

ACCOUNT, REGIONS = "111122223333", ["us-east-1", "us-west-2"]
ROLE = f"arn:aws:iam::{ACCOUNT}:role/"
GENERATED = {
    "launch": launch_policy(
        ACCOUNT,
        REGIONS,
        ["trn1.2xlarge", "inf2.*"],
        pass_roles=[ROLE + "x"],
        scheduler_role=ROLE + "y",
        until="2027-07-01T00:00:00Z",
    ),
    "reaper": reaper_policy(ACCOUNT, REGIONS, topic=f"arn:aws:sns:us-east-1:{ACCOUNT}:guardrail-reports"),
    "costs": read_only_cost_policy(),
    "budget": budget_action_deny_policy([ROLE + "guardrail-reaper"]),
    "boundary": permission_boundary(ACCOUNT, REGIONS, ["trn1.*"], pass_roles=[ROLE + "x"]),
    "regions": stay_in_regions_scp(REGIONS),
    "tags": tagged_launches_scp(exempt_roles=[ROLE + "guardrail-reaper"]),
    "guards": protect_guardrails_scp([ROLE + "deployer"]),
    "detours": no_detours_scp(),
}
# what parliament says that is meant: policy, issue (and nothing else)
MEANT = {
    "launch": {"RESOURCE_MISMATCH"},  # it wants every resource type of RunInstances in each statement
    "costs": {"RESOURCE_STAR"},  # reads of the whole account
    "boundary": {"RESOURCE_STAR"},  # a boundary covers whole services on purpose
    "budget": {"UNKNOWN_ACTION"},  # those in YOUNGER
    "detours": {"UNKNOWN_ACTION"},
}

YOUNGER = ("ServiceEnvironment", "LaunchInstances", "BatchAddClusterNodes")  # than parliament's data


@pytest.mark.parametrize("name", GENERATED)
def test_parliament_finds_nothing_that_is_not_meant(name):
    findings = parliament.analyze_policy_string(json.dumps(GENERATED[name])).findings
    other = [one for one in findings if one.issue not in MEANT.get(name, set())]
    assert [f"{one.issue}: {one.detail} {one.location}" for one in other] == []
    unknown = {one.detail for one in findings if one.issue == "UNKNOWN_ACTION"}
    assert all(any(young in detail for young in YOUNGER) for detail in unknown)


@pytest.mark.parametrize("name", GENERATED)
def test_iams_own_grammar_takes_each(name):
    """Oracle: moto's copy of IAM's grammar, which wants the kind in an IAM resource's ARN spelled out."""
    IAMPolicyDocumentValidator(json.dumps(GENERATED[name])).validate()


def test_parliament_would_find_a_mistake():
    """A misspelt action, a resource of another type: the lint above can fail."""
    for action, issue in (("s3:GetObjekt", "UNKNOWN_ACTION"), ("s3:GetObject", "RESOURCE_MISMATCH")):
        rule = {"Effect": "Allow", "Action": action, "Resource": "arn:aws:s3:::bucket"}
        found = parliament.analyze_policy_string(json.dumps({"Version": "2012-10-17", "Statement": rule})).findings
        assert [one.issue for one in found] == [issue]


def actions_of(document: dict, effect: str) -> list[str]:
    rules = [rule for rule in document["Statement"] if rule["Effect"] == effect and "Action" in rule]
    listed = [[rule["Action"]] if isinstance(rule["Action"], str) else rule["Action"] for rule in rules]
    return sorted({action for actions in listed for action in actions})


@pytest.mark.parametrize("name", GENERATED)
def test_every_action_and_pattern_stands_for_actions_that_exist(name):
    """Oracle: policy_sentry's copy of the Service Authorization Reference. A typing error would match nothing."""
    known = {action.lower() for prefix in PREFIXES for action in actions.get_actions_for_service(prefix)}
    for effect in ("Allow", "Deny"):
        for action in actions_of(GENERATED[name], effect):
            found = [one for one in expand.expand(action) if one.lower() in known]
            assert found or action.partition(":")[0] not in PREFIXES, action


PREFIXES = [
    "autoscaling", "batch", "budgets", "ce", "cloudtrail", "cloudwatch", "config", "ec2", "ecs", "eks",
    "elasticmapreduce", "emr-serverless", "events", "freetier", "gamelift", "iam", "imagebuilder", "lambda",
    "lightsail", "organizations", "pcs", "pricing", "sagemaker", "savingsplans", "scheduler", "sns", "sts", "tag",
]  # fmt: skip


def test_the_cost_policy_expands_to_reading_and_listing_only():
    """Oracle: policy_sentry's access levels."""
    levels = {}
    for pattern in actions_of(GENERATED["costs"], "Allow"):
        for action in expand.expand(pattern):
            prefix, _, name = action.partition(":")
            rows = actions.get_action_data(prefix, name)
            levels[action] = rows[prefix][0]["access_level"] if rows else "?"
    assert {action: level for action, level in levels.items() if level not in ("Read", "List")} == {}
    assert len(levels) > 60


def test_the_requests_of_a_launch_have_only_keys_that_aws_gives():
    """Oracle: policy_sentry's table of condition keys for each resource type of ec2:RunInstances."""
    rows = actions.get_action_data("ec2", "RunInstances")["ec2"]
    table = {row["resource_arn_format"].split(":")[-1].split("/")[0]: row["condition_keys"] for row in rows}
    tags = {"owner": "ana"}
    launch = Launch(
        "trn1.2xlarge", "us-east-1", {"instance": tags, "volume": tags}, key_pair="k", profile="p", role=ROLE + "r"
    )
    for request in requests_for_run_instances(f"arn:aws:iam::{ACCOUNT}:user/ana", launch):
        if request.action != "ec2:RunInstances":
            continue
        kind = request.resource.split(":")[5].split("/")[0]
        allowed = {key.replace("${TagKey}", "") for key in table[kind]} | {"aws:RequestedRegion"}
        for key in request.context:
            assert any(key == one or (one.endswith("/") and key.startswith(one)) for one in allowed), (kind, key)
