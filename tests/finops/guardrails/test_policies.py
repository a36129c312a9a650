"""What the policies allow and deny. Oracles: a truth table written from the rules, and parliament (a linter)."""

import json
from datetime import timedelta

import parliament
import pytest

from course_lib.finops.aws import RealAccount
from course_lib.finops.ephemeral import GROUP as GROUP_OF_SCHEDULES
from course_lib.finops.ephemeral import LaunchRequest, Lease, plan_launch
from course_lib.finops.guardrails import STOP, Budget, Guardrails, Stop, needed_roles, policy_documents
from course_lib.finops.iam import (
    Caller,
    Launch,
    Policies,
    Request,
    evaluate,
    evaluate_all,
    request_on_instance,
    requests_for_run_instances,
)
from tests.finops.conftest import START

ME = "123456789012"
TAGS = {"owner": "ada", "project": "bert", "expires-at": "2026-12-01T18:00:00Z"}
MAILS = ("ada@example.org",)
WANTED = Guardrails(
    ("us-east-1",),
    ("trn1.*", "p5.48xlarge"),
    (Budget("bert", 500, {"project": "bert"}, stops=(Stop(100, MAILS, ("researchers",), ("ben",)),)),),
    until="2027-06-30T00:00:00Z",
)
DOCUMENTS = policy_documents(WANTED, ME)
ADA = f"arn:aws:iam::{ME}:user/ada"
REAPER, ENDS, BUDGETS = (
    f"arn:aws:iam::{ME}:role/{n}" for n in ("guardrail-reaper", "ends-leases", "guardrail-budgets")
)
POLICY = f"arn:aws:iam::{ME}:policy/"


def launch(tags=TAGS, volume_tags=TAGS, **options):
    given = {"instance_type": "trn1.2xlarge", "region": "us-east-1", **options}
    return Launch(tags={"instance": tags, "volume": volume_tags}, **given)


def without(key):
    return {name: value for name, value in TAGS.items() if name != key}


LAUNCHES = {
    "all as it should be": (launch(), True),
    "another type of the family": (launch(instance_type="trn1.32xlarge"), True),
    "a type that is not on the list": (launch(instance_type="g5.xlarge"), False),
    "another region": (launch(region="eu-west-1"), False),
    "no owner": (launch(without("owner")), False),
    "somebody else as the owner": (launch({**TAGS, "owner": "ben"}), False),
    "no project": (launch(without("project")), False),
    "an empty project": (launch({**TAGS, "project": ""}), False),
    "no end": (launch(without("expires-at")), False),
    "an end in local time": (launch({**TAGS, "expires-at": "2026-12-01T18:00:00"}), False),
    "a volume without tags": (launch(volume_tags={}), False),
    "a tag nobody asked for": (launch({**TAGS, "protected": "true"}), False),
    "Owner with a capital": (launch({**without("owner"), "Owner": "ada"}), False),
    "IMDSv1": (launch(http_tokens="optional"), False),
    "a disk of a terabyte": (launch(volume_gib=1024), False),
    "a capacity block": (launch(market="capacity-block"), False),
    "after the course's end": (None, False),
}


@pytest.mark.parametrize("case", LAUNCHES)
@pytest.mark.parametrize("bounded", [False, True], ids=["alone", "inside the boundary"])
def test_a_researcher_launches_what_is_tagged_has_an_end_and_is_on_the_list(case, bounded):
    asked, allowed = LAUNCHES[case]
    now = "2026-12-01T08:00:00Z" if asked else "2027-07-01T08:00:00Z"
    requests = [
        Request(one.principal, one.action, one.resource, {**one.context, "aws:CurrentTime": now})
        for one in requests_for_run_instances(ADA, asked or launch())
    ]
    boundary = DOCUMENTS["guardrail-boundary"] if bounded else None
    policies = Policies(identity=DOCUMENTS["guardrail-researcher"], boundary=boundary)
    assert evaluate_all(policies, requests).allowed is allowed


def test_the_courses_own_launch_is_what_a_researcher_may_do():
    """With every tag of every resource that it writes, and its schedule."""
    lease = Lease("ada", "bert", START + timedelta(hours=4))
    request = LaunchRequest("trn1.2xlarge", "us-east-1", "ami-12c6146b", lease, 10.0, ENDS)
    run = plan_launch(RealAccount(), request, START).run  # with a time given, nobody is asked
    tags = {one["ResourceType"]: {tag["Key"]: tag["Value"] for tag in one["Tags"]} for one in run["TagSpecifications"]}
    asked = Launch(run["InstanceType"], "us-east-1", tags, http_tokens=run["MetadataOptions"]["HttpTokens"])
    now = {"aws:CurrentTime": START}
    requests = [
        Request(one.principal, one.action, one.resource, {**one.context, **now})
        for one in requests_for_run_instances(ADA, asked)
    ]
    for boundary in (None, DOCUMENTS["guardrail-boundary"]):
        policies = Policies(identity=DOCUMENTS["guardrail-researcher"], boundary=boundary)
        decision = evaluate_all(policies, requests)
        assert decision.allowed, decision.explanation
        end = on(ADA, "scheduler:CreateSchedule", f"{SCHEDULE}{GROUP_OF_SCHEDULES}/lease-i-1")
        assert evaluate(policies, end).allowed
        assert evaluate(policies, on(ADA, "iam:PassRole", ENDS, **PASSED)).allowed


def test_a_launcher_is_a_session_with_an_owner():
    role = f"arn:aws:sts::{ME}:assumed-role/ci/run-7"

    def allowed(tags):
        caller = Caller(role, tags)
        requests = [
            Request(one.principal, one.action, one.resource, {**one.context, "aws:CurrentTime": "2026-12-01T08:00:00Z"})
            for one in requests_for_run_instances(caller, launch())
        ]
        return evaluate_all(DOCUMENTS["guardrail-launcher"], requests).allowed

    assert allowed({"owner": "ada"})
    assert not allowed({"owner": "ben"})
    assert not allowed({})


def on_instance(who, action, tags=None, **more):
    tags = TAGS if tags is None else tags
    return request_on_instance(who, f"ec2:{action}", "us-east-1", ME, resource_tags=tags, **more)


def on(who, action, resource, **keys):
    return Request(who, action, resource, {"aws:RequestedRegion": "us-east-1", **keys})


SCHEDULE = f"arn:aws:scheduler:us-east-1:{ME}:schedule/"
PASSED = {"iam:PassedToService": "scheduler.amazonaws.com"}
GROUP = f"arn:aws:iam::{ME}:group/"
ADMIN = {"iam:PolicyARN": "arn:aws:iam::aws:policy/AdministratorAccess"}
STOP_ARN = {"iam:PolicyARN": POLICY + STOP}
REQUESTS = [
    ("researcher", on_instance(ADA, "TerminateInstances"), True),
    ("researcher", on_instance(ADA, "TerminateInstances", {**TAGS, "owner": "ben"}), False),
    ("researcher", on_instance(ADA, "StartInstances"), False),
    ("researcher", on_instance(ADA, "CreateTags", new_tags={"expires-at": "2027-12-01T18:00:00Z"}), False),
    ("researcher", on_instance(ADA, "DeleteTags", removed_tags=["expires-at"]), False),
    ("researcher", on_instance(ADA, "ModifyInstanceAttribute"), False),
    ("researcher", on(ADA, "scheduler:CreateSchedule", f"{SCHEDULE}ephemeral/lease-i-1"), True),
    ("researcher", on(ADA, "scheduler:CreateSchedule", f"{SCHEDULE}default/lease-i-1"), False),
    ("researcher", on(ADA, "scheduler:DeleteSchedule", f"{SCHEDULE}ephemeral/lease-i-1"), False),
    ("researcher", on(ADA, "iam:PassRole", ENDS, **PASSED), True),
    ("researcher", on(ADA, "iam:PassRole", BUDGETS, **PASSED), False),
    ("researcher", on(ADA, "iam:DetachGroupPolicy", f"{GROUP}researchers", **STOP_ARN), False),
    ("reaper", on_instance(REAPER, "TerminateInstances"), True),
    ("reaper", on_instance(REAPER, "TerminateInstances", {**TAGS, "protected": "true"}), False),
    ("reaper", on_instance(REAPER, "TerminateInstances", {"owner": "ada"}), False),
    ("reaper", on_instance(REAPER, "StopInstances", {}), True),
    ("reaper", on_instance(REAPER, "CreateTags", new_tags={"expires-at": "2027-12-01T18:00:00Z"}), False),
    ("ends-leases", on_instance(ENDS, "TerminateInstances"), True),
    ("ends-leases", on_instance(ENDS, "TerminateInstances", {"owner": "ada"}), False),
    ("ends-leases", on_instance(ENDS, "TerminateInstances", {**TAGS, "protected": "True"}), False),
    ("ends-leases", on_instance(ENDS, "TerminateInstances", {**TAGS, "protected": "no"}), True),
    ("ends-leases", on_instance(ENDS, "StopInstances"), False),
    ("budgets", on(BUDGETS, "iam:AttachGroupPolicy", f"{GROUP}researchers", **STOP_ARN), True),
    ("budgets", on(BUDGETS, "iam:DetachGroupPolicy", f"{GROUP}researchers", **STOP_ARN), True),
    ("budgets", on(BUDGETS, "iam:AttachUserPolicy", f"arn:aws:iam::{ME}:user/ben", **STOP_ARN), True),
    ("budgets", on(BUDGETS, "iam:AttachUserPolicy", ADA, **STOP_ARN), False),
    ("budgets", on(BUDGETS, "iam:AttachGroupPolicy", f"{GROUP}admins", **STOP_ARN), False),
    ("budgets", on(BUDGETS, "iam:AttachGroupPolicy", f"{GROUP}researchers", **ADMIN), False),
    ("costs", on(ADA, "budgets:DescribeBudgetAction", "*"), True),
    ("costs", on(ADA, "budgets:ModifyBudget", "*"), False),
]


@pytest.mark.parametrize(
    ("policy", "request_", "allowed"), REQUESTS, ids=[f"{n} {one.action}" for n, one, _ in REQUESTS]
)
def test_each_policy_allows_its_work_and_nothing_beside_it(policy, request_, allowed):
    decision = evaluate(DOCUMENTS[f"guardrail-{policy}"], request_)
    assert decision.allowed is allowed, decision.explanation


def test_the_stop_wins_over_the_permission_to_launch_and_lets_ada_end_what_runs():
    both = [DOCUMENTS["guardrail-researcher"], DOCUMENTS[STOP]]
    now = {"aws:CurrentTime": "2026-12-01T08:00:00Z"}
    requests = [
        Request(one.principal, one.action, one.resource, {**one.context, **now})
        for one in requests_for_run_instances(ADA, launch())
    ]
    assert evaluate_all(both[:1], requests).allowed
    decision = evaluate_all(both, requests)
    assert not decision.allowed
    assert "BudgetUsedUp" in decision.explanation
    assert evaluate(both, on_instance(ADA, "TerminateInstances")).allowed


def test_each_role_is_trusted_to_one_service_on_behalf_of_this_account():
    for role in needed_roles(WANTED):
        for service in (
            "scheduler.amazonaws.com",
            "lambda.amazonaws.com",
            "budgets.amazonaws.com",
            "ec2.amazonaws.com",
        ):
            asked = Request(service, "sts:AssumeRole", f"arn:aws:iam::{ME}:role/{role.name}", {"aws:SourceAccount": ME})
            allowed = evaluate(Policies(trust=role.trust(ME)), asked).allowed
            assert allowed is (service == role.service)
        if role.service != "lambda.amazonaws.com":
            deputy = {"aws:SourceAccount": "999999999999"}
            asked = Request(role.service, "sts:AssumeRole", f"arn:aws:iam::{ME}:role/{role.name}", deputy)
            assert not evaluate(Policies(trust=role.trust(ME)), asked).allowed


def test_without_a_stop_there_is_no_role_for_budgets():
    plain = Guardrails(("us-east-1",), ("trn1.*",))
    assert "guardrail-budgets" not in policy_documents(plain, ME)
    assert [role.name for role in needed_roles(plain)] == ["ends-leases", "guardrail-reaper"]


MEANT = {  # what parliament says that is meant; tests/finops/iam/test_lint.py says why
    "guardrail-researcher": {"RESOURCE_MISMATCH"},
    "guardrail-launcher": {"RESOURCE_MISMATCH"},
    "guardrail-costs": {"RESOURCE_STAR"},
    "guardrail-boundary": {"RESOURCE_STAR"},
    STOP: {"UNKNOWN_ACTION"},
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_parliament_finds_nothing_that_is_not_meant(name):
    findings = parliament.analyze_policy_string(json.dumps(DOCUMENTS[name])).findings
    assert [one for one in findings if one.issue not in MEANT.get(name, set())] == []
