"""Plan and apply. Oracles: boto3's own view of the account before and after, and its ledger of writes."""

import json
from datetime import timedelta

import pytest

from course_lib.finops.aws import AwsError
from course_lib.finops.ephemeral import LaunchRequest, Lease, launch
from course_lib.finops.guardrails import Alert, Budget, GuardrailError, Stop, apply_guardrails, plan_guardrails
from tests.finops.guardrails.conftest import ME

HOUR = timedelta(hours=1)
READS = ("Get", "Describe", "List")
TAG = {"Key": "managed-by", "Value": "course-guardrails"}


def writes(account, since=0):
    made = [record for record in account.records(since) if record["actor"] == "caller" and not record["error"]]
    return [record["operation"] for record in made if not record["operation"].startswith(READS)]


def document(iam, name):
    arn = f"arn:aws:iam::{ME}:policy/{name}"
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


def changes(plan):
    return [(line.change, line.kind, line.name) for line in plan.changes]


def test_a_plan_changes_nothing_and_names_everything(account, researchers, wanted):
    before = len(account.records())
    plan = plan_guardrails(account, wanted())
    assert writes(account, before) == []
    kinds = [line.kind for line in plan.changes]
    assert kinds.count("schedule group") == 2
    assert kinds.count("policy") == 8
    assert kinds.count("role") == 3
    assert kinds[-2:] == ["attachment", "attachment"]  # the permission to spend comes last
    assert plan.changes[-1].name == "guardrail-researcher to group researchers"
    assert kinds.index("budget") < kinds.index("action")
    text = str(plan)
    assert f"account {ME}: {len(plan.changes)} to do, 0 for a person, 1 in place" in text
    assert "500.00 USD a month for project=bert, 2 alerts" in text


def test_applied_once_all_is_there_and_twice_there_is_nothing_to_do(account, researchers, wanted):
    report = apply_guardrails(plan_guardrails(account, wanted()))
    assert (report.failed, report.left) == (None, ())
    again = plan_guardrails(account, wanted())
    assert (again.changes, again.drifts) == ([], [])
    since = len(account.records())
    assert apply_guardrails(again).done == ()
    assert writes(account, since) == []
    budgets = account.client("budgets")
    told = budgets.describe_notifications_for_budget(AccountId=ME, BudgetName="bert")["Notifications"]
    assert {(one["NotificationType"], one["Threshold"]) for one in told} == {("ACTUAL", 80.0), ("FORECASTED", 100.0)}
    (action,) = budgets.describe_budget_actions_for_budget(AccountId=ME, BudgetName="bert")["Actions"]
    assert action["Definition"]["IamActionDefinition"]["Groups"] == ["researchers"]
    groups = account.client("scheduler", region="eu-west-1").list_schedule_groups()["ScheduleGroups"]
    assert "ephemeral" in [group["Name"] for group in groups]


def test_everything_that_can_carry_a_tag_carries_it_from_the_call_that_made_it(account, researchers, wanted):
    since = len(account.records())
    apply_guardrails(plan_guardrails(account, wanted()))
    makers = ("CreatePolicy", "CreateRole", "CreateBudget", "CreateBudgetAction", "CreateScheduleGroup")
    made = [record for record in account.records(since) if record["operation"] in makers]
    assert len(made) == 8 + 3 + 1 + 1 + 2
    for record in made:
        tags = record["parameters"].get("Tags") or record["parameters"].get("ResourceTags")
        assert tags == [TAG], record["operation"]


IN_THE_MIDDLE = ["iam.CreateRole", "iam.AttachRolePolicy", "budgets.CreateBudget", "budgets.CreateBudgetAction"]


@pytest.mark.parametrize("call", IN_THE_MIDDLE)
def test_a_failure_in_the_middle_says_what_is_done_and_leaves_no_permission_to_spend(
    account, researchers, wanted, call
):
    account.inject("denied", call)
    report = apply_guardrails(plan_guardrails(account, wanted()))
    assert report.failed is not None
    assert "Remedy: ask for this permission" in report.error
    assert report.done
    assert report.left[-1].name == "guardrail-researcher to group researchers"
    assert "done     create policy guardrail-researcher" in str(report)
    assert researchers.list_attached_group_policies(GroupName="researchers")["AttachedPolicies"] == []
    for role in researchers.list_roles()["Roles"]:
        assert researchers.list_role_tags(RoleName=role["RoleName"])["Tags"] == [TAG]
    account.heal()
    assert apply_guardrails(plan_guardrails(account, wanted())).failed is None
    assert plan_guardrails(account, wanted()).changes == []


def test_throttling_is_ridden_out(account, researchers, wanted):
    account.inject("throttling", "*", times=1)
    assert apply_guardrails(plan_guardrails(account, wanted(budgets=(), launches=()))).failed is None


def test_another_limit_another_type_and_another_alert_are_updates(account, researchers, wanted):
    apply_guardrails(plan_guardrails(account, wanted()))
    plan = plan_guardrails(account, wanted(limit=700.0, instance_types=("trn1.2xlarge",)))
    assert changes(plan) == [
        ("update", "policy", "guardrail-researcher"),
        ("update", "policy", "guardrail-launcher"),
        ("update", "policy", "guardrail-boundary"),
        ("update", "budget", "bert"),
    ]
    assert "LaunchInstance changed since v1: a new version" in str(plan)
    assert "it was 500.00 USD" in str(plan)
    apply_guardrails(plan)
    assert plan_guardrails(account, wanted(limit=700.0, instance_types=("trn1.2xlarge",))).changes == []
    told = account.client("budgets").describe_budget(AccountId=ME, BudgetName="bert")["Budget"]
    assert float(told["BudgetLimit"]["Amount"]) == 700
    statement = document(researchers, "guardrail-researcher")["Statement"][0]
    assert statement["Condition"]["StringLike"]["ec2:InstanceType"] == ["trn1.2xlarge"]


def test_what_somebody_loosened_by_hand_is_put_back(account, researchers, wanted):
    apply_guardrails(plan_guardrails(account, wanted()))
    arn = f"arn:aws:iam::{ME}:policy/guardrail-boundary"
    loose = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    for _ in range(4):  # up to the five versions that a policy may have
        researchers.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(loose), SetAsDefault=True)
    researchers.detach_role_policy(RoleName="guardrail-reaper", PolicyArn=f"arn:aws:iam::{ME}:policy/guardrail-reaper")
    plan = plan_guardrails(account, wanted())
    assert changes(plan) == [
        ("update", "policy", "guardrail-boundary"),
        ("create", "attachment", "guardrail-reaper to role guardrail-reaper"),
    ]
    assert apply_guardrails(plan).failed is None
    assert "DenyOtherTypes" in json.dumps(document(researchers, "guardrail-boundary"))
    assert len(researchers.list_policy_versions(PolicyArn=arn)["Versions"]) == 5


def test_what_others_made_is_neither_changed_nor_given_to_anybody(account, researchers, wanted):
    loose = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    for name in ("guardrail-researcher", "guardrail-budget-stop"):
        researchers.create_policy(PolicyName=name, PolicyDocument=json.dumps(loose))
    limit = {"BudgetLimit": {"Amount": "9", "Unit": "USD"}}
    budget = {"BudgetName": "mine", "BudgetType": "COST", "TimeUnit": "MONTHLY", **limit}
    account.client("budgets").create_budget(AccountId=ME, Budget=budget)
    plan = plan_guardrails(account, wanted())
    held = {(line.kind, line.name) for line in plan.drifts}
    assert held == {
        ("policy", "guardrail-researcher"),
        ("policy", "guardrail-budget-stop"),
        ("action", "bert at 100% actual"),
        ("attachment", "guardrail-researcher to group researchers"),
    }
    assert apply_guardrails(plan).failed is None
    assert document(researchers, "guardrail-researcher") == loose
    attached = researchers.list_attached_group_policies(GroupName="researchers")["AttachedPolicies"]
    assert [one["PolicyName"] for one in attached] == ["guardrail-costs"]
    names = [one["BudgetName"] for one in account.client("budgets").describe_budgets(AccountId=ME)["Budgets"]]
    assert sorted(names) == ["bert", "mine"]


def test_a_strangers_budget_and_a_missing_group_are_for_a_person(account, wanted):
    limit = {"BudgetLimit": {"Amount": "9", "Unit": "USD"}}
    budget = {"BudgetName": "bert", "BudgetType": "COST", "TimeUnit": "MONTHLY", **limit}
    account.client("budgets").create_budget(AccountId=ME, Budget=budget)
    plan = plan_guardrails(account, wanted())
    assert [(line.kind, line.name) for line in plan.drifts] == [("budget", "bert"), ("group", "researchers")]
    assert "is there without the tag managed-by=course-guardrails: not ours to change" in str(plan)
    apply_guardrails(plan)
    told = account.client("budgets").describe_budget(AccountId=ME, BudgetName="bert")["Budget"]
    assert float(told["BudgetLimit"]["Amount"]) == 9


def test_alerts_and_actions_beyond_the_plan_stay_and_are_told(account, researchers, wanted):
    apply_guardrails(plan_guardrails(account, wanted()))
    budgets, which = account.client("budgets"), {"AccountId": ME, "BudgetName": "bert"}
    at = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 50.0}
    ben = {"SubscriptionType": "EMAIL", "Address": "ben@example.org"}
    budgets.create_notification(**which, Notification=at, Subscribers=[ben])
    budgets.create_subscriber(**which, Notification={**at, "Threshold": 80.0}, Subscriber=ben)
    manual = Stop(100, ("ada@example.org",), groups=("researchers",), approval="MANUAL")
    budget = wanted().budgets[0]
    more = type(budget)(budget.name, budget.usd_per_month, budget.tags, budget.alerts, (manual,))
    plan = plan_guardrails(account, wanted(budgets=(more,)))
    assert changes(plan) == [("update", "action", "bert at 100% actual")]
    reasons = [line.why for line in plan.drifts]
    assert reasons == ["also goes to ben@example.org, and stays so", "is not in the plan, and stays"]
    apply_guardrails(plan)
    assert len(budgets.describe_notifications_for_budget(**which)["Notifications"]) == 3
    (action,) = budgets.describe_budget_actions_for_budget(**which)["Actions"]
    assert action["ApprovalModel"] == "MANUAL"


def test_the_action_that_was_planned_really_stops_the_researchers(account, researchers, wanted):
    apply_guardrails(plan_guardrails(account, wanted()))
    tags = [{"Key": "project", "Value": "bert"}]
    account.client("ec2").run_instances(
        ImageId="ami-12c6146b",
        InstanceType="p5.48xlarge",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    account.advance(30 * HOUR)
    attached = researchers.list_attached_group_policies(GroupName="researchers")["AttachedPolicies"]
    assert "guardrail-budget-stop" in [one["PolicyName"] for one in attached]
    assert changes(plan_guardrails(account, wanted())) == []  # what has fired is as it should be


def test_the_role_and_the_group_are_those_that_a_launch_needs(account, researchers, wanted):
    apply_guardrails(plan_guardrails(account, wanted()))
    role = account.client("iam").get_role(RoleName="ends-leases")["Role"]
    lease = Lease("ada", "bert", account.now() + HOUR)
    request = LaunchRequest("trn1.2xlarge", "eu-west-1", "ami-12c6146b", lease, 10.0, role["Arn"])
    since = len(account.records())
    launch(account, request)
    assert "CreateScheduleGroup" not in writes(account, since)


def test_a_new_role_that_budgets_does_not_know_yet_is_waited_for(account, researchers, wanted):
    """On AWS a role is known everywhere some seconds after it was made; here its trust comes late."""
    late = []

    def pause(seconds):
        late.append(seconds)
        if len(late) == 2:
            researchers.update_assume_role_policy(RoleName="guardrail-budgets", PolicyDocument=json.dumps(trust))

    plan = plan_guardrails(account, wanted(), pause=pause)
    for line in plan.changes:
        if line.kind == "action":
            trust = researchers.get_role(RoleName="guardrail-budgets")["Role"]["AssumeRolePolicyDocument"]
            nobody = {**trust, "Statement": [{**trust["Statement"][0], "Effect": "Deny"}]}
            researchers.update_assume_role_policy(RoleName="guardrail-budgets", PolicyDocument=json.dumps(nobody))
        line.do()
    assert late == [2.0, 4.0]
    assert plan_guardrails(account, wanted()).changes == []


def test_without_permission_to_look_it_says_so_in_one_line(account, wanted):
    account.inject("denied", "iam.GetPolicy")
    with pytest.raises(AwsError, match=r"looking at policy guardrail-researcher: AccessDenied.*Remedy: ask for this"):
        plan_guardrails(account, wanted())


def test_another_accounts_topic_is_refused_before_anything_is_made(account, wanted):
    """Oracle: AWS Budgets' guide: a topic must be in the budget's own account."""
    topic = f"arn:aws:sns:us-east-1:{ME}:alarms"
    budgets = (Budget("bert", 10.0, alerts=(Alert(80, (topic,)),)),)
    plan_guardrails(account, wanted(budgets=budgets, researchers=()))
    foreign = (Budget("bert", 10.0, alerts=(Alert(80, (topic.replace(ME, "210987654321"),)),)),)
    with pytest.raises(GuardrailError, match=rf"belongs to account 210987654321, and this is account {ME}. Remedy: "):
        plan_guardrails(account, wanted(budgets=foreign, researchers=()))
