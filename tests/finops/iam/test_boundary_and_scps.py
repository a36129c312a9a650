"""What an administrator's policy can't get past. Oracle: a table of escapes, written before the policies.

Every caller here has AdministratorAccess: what is denied is denied by the boundary or by the organisation alone.
"""

from dataclasses import replace

import pytest

from course_lib.finops.iam import (
    FULL_ACCESS,
    Launch,
    Policies,
    Request,
    evaluate,
    evaluate_all,
    no_detours_scp,
    permission_boundary,
    protect_guardrails_scp,
    reaper_policy,
    request_on_instance,
    requests_for_run_instances,
    stay_in_regions_scp,
    tagged_launches_scp,
)

ACCOUNT, REGION = "111122223333", "us-east-1"
ANA = f"arn:aws:iam::{ACCOUNT}:user/ana"
IAM = f"arn:aws:iam::{ACCOUNT}:"
TRAINING, REAPER, DEPLOYER = IAM + "role/training", IAM + "role/guardrail-reaper", IAM + "role/deployer"
BOUNDARY_ARN = IAM + "policy/course-boundary"
TAGS = {"owner": "ana", "expires-at": "2026-11-26T18:00:00Z"}
GOOD = Launch("trn1.2xlarge", REGION, {"instance": TAGS, "volume": TAGS})

BOUNDED = Policies(
    identity=FULL_ACCESS, boundary=permission_boundary(ACCOUNT, [REGION], ["trn1.*"], pass_roles=[TRAINING])
)
GUARDS = [
    FULL_ACCESS,
    stay_in_regions_scp([REGION]),
    tagged_launches_scp(exempt_roles=[REAPER]),
    no_detours_scp(),
    protect_guardrails_scp([DEPLOYER]),
]
IN_ORGANISATION = Policies(identity=FULL_ACCESS, scps=GUARDS)


def ask(action: str, resource: str = "*", caller: str = ANA, **context) -> Request:
    return Request(caller, action, resource, {"aws:RequestedRegion": REGION, **context})


def on(action: str, caller: str = ANA, region: str = REGION, **more) -> Request:
    return request_on_instance(caller, action, region, ACCOUNT, resource_tags=TAGS, **more)


BOTH = [  # request, whether an administrator gets through
    (ask("ec2:DescribeInstances"), True),
    (ask("s3:PutObject", "arn:aws:s3:::checkpoints/step-1"), True),
    (on("ec2:TerminateInstances"), True),
    (on("ec2:StopInstances"), True),
    (on("ec2:CreateTags", new_tags={"Name": "run 7"}), True),
    (ask("iam:ListRoles"), True),
    (ask("s3:ListAllMyBuckets", **{"aws:RequestedRegion": "us-east-1"}), True),
    # other regions
    (Request(ANA, "ec2:DescribeInstances", "*", {"aws:RequestedRegion": "eu-west-1"}), False),
    (Request(ANA, "s3:CreateBucket", "arn:aws:s3:::b", {"aws:RequestedRegion": "ap-south-1"}), False),
    (Request(ANA, "ec2:DescribeInstances"), False),  # no region at all
    (on("ec2:StopInstances", region="eu-west-1"), False),
    # the end of an instance
    (on("ec2:CreateTags", new_tags={"expires-at": "2036-01-01T00:00:00Z"}), False),
    (on("ec2:CreateTags", new_tags={"Name": "x", "owner": "bob"}), False),
    (on("ec2:DeleteTags", removed_tags=["expires-at"]), False),
    (on("ec2:DeleteTags"), False),  # names no keys: removes all tags
    (on("ec2:ModifyInstanceAttribute"), False),
    (on("ec2:CreateTags", new_tags={"protected": "true"}), False),  # the reaper spares it
    # aws:ResourceTag/protected, which the reaper's policy asks for, is a key without capitals (IAM's user guide)
    (on("ec2:CreateTags", new_tags={"Protected": "true"}), False),
    # detours
    *[
        (ask(action), False)
        for action in (
            "ec2:ImportInstance", "ec2:AcceptReservedInstancesExchangeQuote",
            "ec2:RequestSpotInstances", "ec2:RequestSpotFleet", "ec2:CreateFleet", "ec2:RunScheduledInstances",
            "ec2:PurchaseCapacityBlock", "ec2:CreateCapacityReservation", "ec2:AllocateHosts",
            "autoscaling:CreateAutoScalingGroup", "autoscaling:SetDesiredCapacity", "autoscaling:PutScalingPolicy",
            "batch:SubmitJob", "batch:CreateComputeEnvironment", "sagemaker:CreateTrainingJob",
            "sagemaker:StartNotebookInstance", "sagemaker:BatchAddClusterNodes", "pcs:CreateComputeNodeGroup",
            "autoscaling:ResumeProcesses", "gamelift:UpdateFleetCapacity",
            "ecs:RunTask", "eks:CreateNodegroup", "elasticmapreduce:RunJobFlow",
            "lightsail:CreateInstances", "imagebuilder:StartImagePipelineExecution",
        )
    ],
    # the guardrails themselves
    *[
        (ask(action, resource), False)
        for action, resource in (
            ("iam:DeleteRole", REAPER), ("iam:PutRolePolicy", REAPER), ("iam:DetachRolePolicy", REAPER),
            ("iam:UpdateAssumeRolePolicy", REAPER), ("iam:DeleteRolePermissionsBoundary", REAPER),
            ("iam:TagRole", REAPER), ("iam:DeletePolicy", IAM + "policy/guardrail-launch"),
            ("iam:CreatePolicyVersion", IAM + "policy/guardrail-launch"),
            ("iam:DeleteRolePermissionsBoundary", TRAINING), ("iam:DeleteUserPermissionsBoundary", ANA),
        )
    ],
    (ask("iam:DetachUserPolicy", ANA, **{"iam:PolicyARN": IAM + "policy/guardrail-budget-used-up"}), False),
    (ask("iam:DetachUserPolicy", ANA, **{"iam:PolicyARN": IAM + "policy/mine"}), True),
    (ask("iam:PassRole", REAPER, **{"iam:PassedToService": "ec2.amazonaws.com"}), False),
]  # fmt: skip
ONLY_BOUNDARY = [  # what the boundary alone stops
    (ask("cloudformation:CreateStack"), False),
    (ask("lambda:CreateFunction"), False),
    (ask("iam:PassRole", TRAINING, **{"iam:PassedToService": "ec2.amazonaws.com"}), True),
    (ask("iam:PassRole", IAM + "role/admin", **{"iam:PassedToService": "ec2.amazonaws.com"}), False),
    (ask("iam:CreateAccessKey", IAM + "user/bob"), False),
    (ask("iam:CreateLoginProfile", IAM + "user/bob"), False),
    (ask("iam:UpdateAssumeRolePolicy", IAM + "role/admin"), False),
    (ask("iam:RemoveUserFromGroup", IAM + "group/limited"), False),
    (ask("iam:CreatePolicyVersion", BOUNDARY_ARN), False),
    (ask("iam:SetDefaultPolicyVersion", BOUNDARY_ARN), False),
    (ask("iam:CreateRole", IAM + "role/mine"), False),
    (ask("iam:CreateRole", IAM + "role/mine", **{"iam:PermissionsBoundary": BOUNDARY_ARN}), True),
    (ask("iam:CreateRole", IAM + "role/mine", **{"iam:PermissionsBoundary": IAM + "policy/mine"}), False),
    (ask("iam:AttachRolePolicy", IAM + "role/admin"), False),
    (ask("iam:AttachRolePolicy", IAM + "role/mine", **{"iam:PermissionsBoundary": BOUNDARY_ARN}), True),
    (ask("iam:PutUserPermissionsBoundary", ANA, **{"iam:PermissionsBoundary": IAM + "policy/mine"}), False),
    # with the boundary on it, the role that ends leases could be given a policy that denies it to end them
    (ask("iam:PutRolePermissionsBoundary", TRAINING, **{"iam:PermissionsBoundary": BOUNDARY_ARN}), False),
    (ask("iam:UpdateGroup", IAM + "group/researchers"), False),  # a budget action finds the group by its name
    (ask("iam:UpdateUser", ANA), False),  # ${aws:username} is the owner
    (ask("iam:UntagUser", ANA), False),
    (ask("iam:TagUser", ANA), False),  # so is ${aws:PrincipalTag/owner}
    (ask("iam:UpdateSAMLProvider", IAM + "saml-provider/login"), False),  # whoever signs the logins is everybody
    (ask("iam:CreateServiceSpecificCredential", IAM + "user/bob"), False),
    (ask("budgets:ModifyBudget", f"arn:aws:budgets::{ACCOUNT}:budget/course"), False),
    (ask("budgets:DeleteBudgetAction", f"arn:aws:budgets::{ACCOUNT}:budget/course/action/1"), False),
    (ask("budgets:ViewBudget", f"arn:aws:budgets::{ACCOUNT}:budget/course"), True),
    (ask("scheduler:DeleteSchedule", f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/ephemeral/lease-i-1"), False),
    (ask("scheduler:UpdateSchedule", f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/ephemeral/lease-i-1"), False),
    (ask("scheduler:DeleteScheduleGroup", f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/ephemeral"), False),
    (ask("scheduler:CreateSchedule", f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/ephemeral/lease-i-1"), True),
    (ask("iam:CreatePolicy", IAM + "policy/mine"), True),
    (on("ec2:StartInstances", instance_type="trn1.2xlarge"), True),
    (on("ec2:StartInstances", instance_type="p5.48xlarge"), False),
    (on("ec2:StartInstances"), False),  # a missing type counts as another type
]
ONLY_ORGANISATION = [  # what the organisation alone stops, or lets its own roles do
    (ask("organizations:LeaveOrganization"), False),
    (ask("cloudtrail:StopLogging", f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/t"), False),
    (ask("budgets:ModifyBudget", f"arn:aws:budgets::{ACCOUNT}:budget/course"), False),
    (ask("budgets:ViewBudget", f"arn:aws:budgets::{ACCOUNT}:budget/course"), True),
    (ask("lambda:UpdateFunctionCode", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:guardrail-reaper"), False),
    (ask("lambda:UpdateFunctionCode", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:mine"), True),
    (ask("events:DisableRule", f"arn:aws:events:{REGION}:{ACCOUNT}:rule/guardrail-every-5-minutes"), False),
    (ask("scheduler:DeleteSchedule", f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/guardrail-x"), False),
    # deletes the schedules in it, too (EventBridge Scheduler's API reference), guardrails' among them
    (ask("scheduler:DeleteScheduleGroup", f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/ops"), False),
    (ask("events:DisableRule", f"arn:aws:events:{REGION}:{ACCOUNT}:rule/ops-bus/guardrail-every-5-minutes"), False),
    (ask("iam:PutUserPermissionsBoundary", ANA, **{"iam:PermissionsBoundary": IAM + "policy/wide"}), False),
    (ask("iam:PutUserPermissionsBoundary", ANA, **{"iam:PermissionsBoundary": IAM + "policy/guardrail-fence"}), True),
    (
        ask("iam:PutUserPermissionsBoundary", ANA, caller=DEPLOYER, **{"iam:PermissionsBoundary": IAM + "policy/wide"}),
        True,
    ),
    (on("ec2:CreateTags", caller=REAPER, new_tags={"protected": "true"}), True),
    (ask("sns:DeleteTopic", f"arn:aws:sns:{REGION}:{ACCOUNT}:guardrail-reports"), False),
    (ask("sns:Publish", f"arn:aws:sns:{REGION}:{ACCOUNT}:guardrail-reports", caller=REAPER), True),
    (ask("iam:DeleteRole", REAPER, caller=DEPLOYER), True),
    (ask("iam:DeleteRole", REAPER, caller=IAM + "root"), False),
    (ask("iam:DeleteRole", IAM + "role/service/guardrail-reaper"), False),
    (ask("iam:DeleteRole", IAM + "role/my-guardrail-reaper"), True),
    (ask("ec2:ModifyInstanceAttribute", f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-1", caller=REAPER), True),
    (on("ec2:DeleteTags", caller=REAPER), True),
]


def names(rows: list) -> list[str]:
    return [f"{number}-{row[0].action}" for number, row in enumerate(rows)]


@pytest.mark.parametrize(("request_", "expected"), BOTH + ONLY_BOUNDARY, ids=names(BOTH + ONLY_BOUNDARY))
def test_the_boundary_holds_an_administrator(request_, expected):
    assert evaluate(BOUNDED, request_).allowed is expected


@pytest.mark.parametrize(("request_", "expected"), BOTH + ONLY_ORGANISATION, ids=names(BOTH + ONLY_ORGANISATION))
def test_the_organisation_holds_an_administrator(request_, expected):
    assert evaluate(IN_ORGANISATION, request_).allowed is expected


def changed(**tags: str | None) -> Launch:
    new = {key: value for key, value in {**TAGS, **tags}.items() if value is not None}
    return replace(GOOD, tags={"instance": new, "volume": new})


@pytest.mark.parametrize(
    ("launch", "expected"),
    [
        (GOOD, True),
        (changed(Name="x"), True),
        (replace(GOOD, tags={}), False),
        (replace(GOOD, tags={"volume": TAGS}), False),
        (replace(GOOD, tags={"instance": TAGS}), False),
        (changed(**{"expires-at": None}), False),
        (changed(**{"expires-at": ""}), False),
        (changed(**{"expires-at": None, "Expires-At": "2026-11-26T18:00:00Z"}), False),
        (changed(owner=None), False),
        (changed(protected="true"), False),
        (changed(PROTECTED="true"), False),
        (replace(GOOD, region="eu-west-1"), False),
    ],
)
def test_launches_of_an_administrator(launch, expected):
    for policies in (BOUNDED, IN_ORGANISATION):
        assert evaluate_all(policies, requests_for_run_instances(ANA, launch)).allowed is expected
    root = requests_for_run_instances(IAM + "root", launch)
    assert evaluate_all(Policies(scps=GUARDS), root).allowed is expected  # SCPs hold root, too


def test_no_role_is_taken_on_by_which_the_boundary_could_be_left():
    """Every role here trusts the account, so that the trust policy alone lets an administrator in."""
    trust = {"Statement": {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}}
    bounded, in_organisation = replace(BOUNDED, trust=trust), replace(IN_ORGANISATION, trust=trust)
    for role, by_boundary, by_organisation in (
        (TRAINING, True, True),
        (IAM + "role/admin", False, True),
        (REAPER, False, False),
    ):
        request = ask("sts:AssumeRole", role)
        assert evaluate(bounded, request).allowed is by_boundary
        assert evaluate(in_organisation, request).allowed is by_organisation


@pytest.mark.parametrize(
    ("action", "region", "expected"),
    [
        ("iam:ListRoles", REGION, True),
        ("ce:GetCostAndUsage", REGION, True),
        ("s3:ListAllMyBuckets", REGION, True),
        ("s3:PutObject", REGION, False),
        ("ec2:DescribeInstances", REGION, False),
        ("ec2:DescribeInstances", "eu-west-1", True),
    ],
)
def test_services_without_regions_work_from_a_course_in_another_region(action, region, expected):
    """Oracle: AWS's guide to SCPs: requests to global services carry us-east-1, wherever the caller works."""
    asked = Request(ANA, action, "*", {"aws:RequestedRegion": region})
    policies = Policies(identity=FULL_ACCESS, scps=[FULL_ACCESS, stay_in_regions_scp(["eu-west-1"])])
    assert evaluate(policies, asked).allowed is expected


def test_the_boundary_stops_other_types_and_the_organisation_leaves_them_to_it():
    asked = requests_for_run_instances(ANA, replace(GOOD, instance_type="p5.48xlarge"))
    assert not evaluate_all(BOUNDED, asked).allowed
    assert evaluate_all(IN_ORGANISATION, asked).allowed


def test_the_reaper_still_works_under_the_organisations_policies():
    policies = Policies(identity=reaper_policy(ACCOUNT, [REGION]), scps=GUARDS)
    for action in ("ec2:TerminateInstances", "ec2:StopInstances", "ec2:ModifyInstanceAttribute"):
        assert evaluate(policies, on(action, caller=REAPER)).allowed
    assert evaluate(policies, on("ec2:CreateTags", caller=REAPER, new_tags={"reaper-note": "ended"})).allowed
