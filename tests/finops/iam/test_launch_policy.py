"""The launch policy. Oracle: a table of what a researcher must and must not be able to do, written before the policy.

The requests of a launch follow https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
"""

from dataclasses import replace

import pytest

from course_lib.finops.iam import (
    Caller,
    Launch,
    PolicyError,
    PolicyTooLargeError,
    Request,
    RequestError,
    evaluate,
    evaluate_all,
    launch_policy,
    missing,
    request_on_instance,
    requests_for_run_instances,
)

ACCOUNT, REGION = "111122223333", "us-east-1"
ANA, BOB = f"arn:aws:iam::{ACCOUNT}:user/ana", f"arn:aws:iam::{ACCOUNT}:user/bob"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/training"
ENDING = f"arn:aws:iam::{ACCOUNT}:role/end-instances"
TAGS = {"owner": "ana", "project": "moe", "expires-at": "2026-11-26T18:00:00Z"}
GOOD = Launch("trn1.2xlarge", REGION, {"instance": TAGS, "volume": TAGS})
POLICY = launch_policy(
    ACCOUNT,
    [REGION, "us-west-2"],
    ["trn1.2xlarge", "inf2.*"],
    pass_roles=[ROLE],
    scheduler_role=ENDING,
    until="2027-07-01T00:00:00Z",
)
NOW = "2026-11-26T12:00:00Z"


def tagged(**changes: str | None) -> dict:
    tags = {key: value for key, value in {**TAGS, **changes}.items() if value is not None}
    return {"instance": tags, "volume": tags}


def decide(launch: Launch, caller: str = ANA, policy: dict = POLICY, now: str = NOW):
    asked = [
        replace(one, context={**{k: v for k, v in one.context.items()}, "aws:CurrentTime": now})
        for one in requests_for_run_instances(caller, launch)
    ]
    return evaluate_all(policy, asked)


LAUNCHES = [
    ("as it should be", GOOD, True),
    ("another allowed region", replace(GOOD, region="us-west-2"), True),
    ("a type of an allowed family", replace(GOOD, instance_type="inf2.48xlarge"), True),
    ("with an optional tag", replace(GOOD, tags=tagged(Name="run 7")), True),
    ("as spot", replace(GOOD, market="spot"), True),
    ("with the role it may pass", replace(GOOD, profile="training", role=ROLE), True),
    ("with a key pair", replace(GOOD, key_pair="ana-laptop"), True),
    ("a dearer type", replace(GOOD, instance_type="p5.48xlarge"), False),
    ("a bigger one of the family", replace(GOOD, instance_type="trn1.32xlarge"), False),
    ("other capitals in the type", replace(GOOD, instance_type="TRN1.2xlarge"), False),
    ("another region", replace(GOOD, region="eu-west-1"), False),
    ("no tags at all", replace(GOOD, tags={}), False),
    ("no tags on the volume", replace(GOOD, tags={"instance": TAGS}), False),
    ("no end", replace(GOOD, tags=tagged(**{"expires-at": None})), False),
    ("an empty end", replace(GOOD, tags=tagged(**{"expires-at": ""})), False),
    ("an end that is no time", replace(GOOD, tags=tagged(**{"expires-at": "never"})), False),
    ("an end in local time", replace(GOOD, tags=tagged(**{"expires-at": "2026-11-26T18:00:00+01:00"})), False),
    ("the end's key in capitals", replace(GOOD, tags=tagged(**{"expires-at": None, "Expires-At": NOW})), False),
    ("both spellings", replace(GOOD, tags={"instance": {**TAGS, "EXPIRES-AT": NOW}, "volume": TAGS}), None),
    ("somebody else's name", replace(GOOD, tags=tagged(owner="bob")), False),
    ("a pattern for a name", replace(GOOD, tags=tagged(owner="*")), False),
    ("no project", replace(GOOD, tags=tagged(project="")), False),
    ("a tag that nobody asked for", replace(GOOD, tags=tagged(protected="true")), False),
    ("IMDSv1", replace(GOOD, http_tokens="optional"), False),
    ("a huge volume", replace(GOOD, volume_gib=501), False),
    ("a disk with provisioned IOPS", replace(GOOD, volume_type="io2"), False),
    ("a disk of the older general type", replace(GOOD, volume_type="gp2"), True),
    ("a shared image", replace(GOOD, image_owner="999988887777"), False),
    ("a capacity block", replace(GOOD, market="capacity-block"), False),
    ("an administrator's role", replace(GOOD, profile="admin", role=f"arn:aws:iam::{ACCOUNT}:role/admin"), False),
    ("tags on a network interface", replace(GOOD, tags={**GOOD.tags, "network-interface": TAGS}), False),
]


@pytest.mark.parametrize(("what", "launch", "expected"), LAUNCHES, ids=[row[0] for row in LAUNCHES])
def test_launches(what, launch, expected):
    if expected is None:  # keys that differ only in case: the context can't hold both
        with pytest.raises(RequestError, match="twice"):
            decide(launch)
        return
    decision = decide(launch)
    assert decision.allowed is expected, decision.explanation


def test_a_host_of_ones_own_is_refused_and_a_launch_that_names_no_tenancy_is_not():
    """Oracle: AWS's price list: dedicated instances cost a fee for the region by the hour besides."""
    for tenancy, expected in (("dedicated", False), ("host", False), (None, True)):
        asked = []
        for one in requests_for_run_instances(ANA, GOOD):
            context = {**one.context, "aws:CurrentTime": NOW}
            if context.pop("ec2:Tenancy", None) and tenancy:
                context["ec2:Tenancy"] = tenancy
            asked.append(replace(one, context=context))
        assert evaluate_all(POLICY, asked).allowed is expected


def on(action: str, caller: str = ANA, owner: str = "ana", **more) -> Request:
    tags = {**TAGS, "owner": owner}
    return request_on_instance(caller, action, more.pop("region", REGION), ACCOUNT, resource_tags=tags, **more)


def plain(action: str, resource: str = "*", **context) -> Request:
    return Request(ANA, action, resource, {"aws:RequestedRegion": REGION, **context})


OTHERS = [
    (on("ec2:TerminateInstances"), True),
    (on("ec2:StopInstances"), True),
    (on("ec2:RebootInstances"), True),
    (plain("ec2:DescribeInstances"), True),
    (plain("ec2:DescribeInstanceAttribute", on("ec2:StopInstances").resource), False),  # user data
    (on("ec2:TerminateInstances", owner="bob"), False),
    (on("ec2:TerminateInstances", owner="ANA"), False),
    (on("ec2:TerminateInstances", region="eu-west-1"), False),
    (request_on_instance(ANA, "ec2:TerminateInstances", REGION, ACCOUNT), False),  # an instance without tags
    (on("ec2:StartInstances"), False),
    # escapes from the reaper
    (on("ec2:DeleteTags", removed_tags=["expires-at"]), False),
    (on("ec2:DeleteTags"), False),
    (on("ec2:CreateTags", new_tags={"expires-at": "2036-01-01T00:00:00Z"}), False),
    (on("ec2:CreateTags", new_tags={"protected": "true"}), False),
    (on("ec2:CreateTags", owner="bob", new_tags={"owner": "ana"}), False),  # taking over a foreign instance
    (on("ec2:ModifyInstanceAttribute"), False),
    (on("ec2:ModifyInstanceMetadataOptions"), False),
    # detours
    (plain("ec2:RequestSpotInstances"), False),
    (plain("ec2:RequestSpotFleet"), False),
    (plain("ec2:CreateFleet", f"arn:aws:ec2:{REGION}:{ACCOUNT}:fleet/*"), False),
    (plain("autoscaling:CreateAutoScalingGroup"), False),
    (plain("autoscaling:SetDesiredCapacity"), False),
    (plain("batch:SubmitJob"), False),
    (plain("sagemaker:CreateTrainingJob"), False),
    (plain("ec2:PurchaseReservedInstancesOffering"), False),
    # more power
    (
        plain("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/admin", **{"iam:PassedToService": "ec2.amazonaws.com"}),
        False,
    ),
    (plain("iam:PassRole", ROLE, **{"iam:PassedToService": "lambda.amazonaws.com"}), False),
    (plain("iam:PassRole", ROLE), False),
    (plain("iam:CreateUser", f"arn:aws:iam::{ACCOUNT}:user/eve"), False),
    (plain("iam:AttachUserPolicy", ANA), False),
    # the schedule that ends an instance
    (plain("scheduler:CreateSchedule", f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/ephemeral/i-1"), True),
    (plain("iam:PassRole", ENDING, **{"iam:PassedToService": "scheduler.amazonaws.com"}), True),
    (plain("iam:PassRole", ENDING, **{"iam:PassedToService": "ec2.amazonaws.com"}), False),
    (plain("scheduler:DeleteSchedule", f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/ephemeral/i-1"), False),
    (plain("scheduler:CreateSchedule", f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/x"), False),
]


@pytest.mark.parametrize(("request_", "expected"), OTHERS, ids=[f"{n}-{row[0].action}" for n, row in enumerate(OTHERS)])
def test_everything_else(request_, expected):
    decision = evaluate(POLICY, request_)
    assert decision.allowed is expected, decision.explanation


def test_after_the_last_day_nothing_is_launched_and_everything_can_be_ended():
    assert not decide(GOOD, now="2027-07-01T00:00:00Z").allowed
    ended = on("ec2:TerminateInstances")
    assert evaluate(
        POLICY, replace(ended, context={**ended.context, "aws:CurrentTime": "2027-08-01T00:00:00Z"})
    ).allowed


def test_roles_are_told_apart_by_a_tag_of_their_session():
    policy = launch_policy(ACCOUNT, [REGION], ["trn1.2xlarge"], owner="${aws:PrincipalTag/owner}")
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/research/s"
    assert decide(GOOD, Caller(session, {"owner": "ana"}), policy).allowed
    assert not decide(GOOD, Caller(session, {"owner": "bob"}), policy).allowed
    assert not decide(GOOD, Caller(session), policy).allowed
    unnamed = replace(GOOD, tags=tagged(owner=""))
    assert not decide(unnamed, Caller(session, {"owner": ""}), policy).allowed  # two empty names are not one person


def test_the_explanation_names_the_statement_about_this_resource_and_no_other():
    """Oracle: of the policy's statements about RunInstances only LaunchInstance covers an instance."""
    decision = decide(replace(GOOD, instance_type="p5.48xlarge"))
    assert [match.statement.sid for match in decision.statements] == ["LaunchInstance"]
    assert "the request has p5.48xlarge" in decision.explanation
    assert "LaunchVolume" not in decision.explanation


def test_spot_only_needs_the_market_to_be_named():
    policy = launch_policy(ACCOUNT, [REGION], ["trn1.2xlarge"], markets=["spot"])
    assert decide(replace(GOOD, market="spot"), policy=policy).allowed
    assert not decide(GOOD, policy=policy).allowed


def test_a_policy_that_forgets_the_volume_fails_as_on_aws_and_missing_names_it():
    """Oracle: the page on condition operators, "THISPOLICYDOESNOTWORK": each resource of a launch is decided."""
    instance = {"Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "arn:aws:ec2:*:*:instance/*"}
    asked = requests_for_run_instances(ANA, replace(GOOD, tags={}))
    assert not evaluate_all({"Version": "2012-10-17", "Statement": instance}, asked).allowed
    lacks = missing({"Version": "2012-10-17", "Statement": instance}, asked)
    kinds = {lack.request.resource.split(":")[5].split("/")[0] for lack in lacks}
    assert kinds == {"image", "network-interface", "subnet", "volume", "security-group"}
    assert "add arn:aws:ec2:us-east-1:111122223333:volume/*" in next(a.advice for a in lacks if "volume" in a.advice)
    broken = {**instance, "Resource": "*", "Condition": {"StringLike": {"ec2:InstanceType": ["t1.*", "trn1.*"]}}}
    assert len(missing({"Version": "2012-10-17", "Statement": broken}, asked)) == 5
    works = {**broken, "Condition": {"StringLikeIfExists": {"ec2:InstanceType": ["t1.*", "trn1.*"]}}}
    assert missing({"Version": "2012-10-17", "Statement": works}, asked) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"account": "123"}, "12 digits"),
        ({"regions": "us-east-1"}, "must be a list"),
        ({"regions": []}, "at least 1"),
        ({"regions": ["*"]}, "can't be read"),
        ({"instance_types": ["*"]}, "can't be read"),
        ({"instance_types": ["trn*"]}, "can't be read"),
        ({"instance_types": ["trn1.2xlarge", "trn1.2xlarge"]}, "twice"),
        ({"required_tags": ["Owner"]}, "differ only in case"),
        ({"required_tags": ["a*"]}, "can't be read"),
        ({"required_tags": ["project", "protected"]}, "out of the reaper's reach"),
        ({"optional_tags": ["Protected"]}, "out of the reaper's reach"),
        ({"volume_types": ["*"]}, "can't be read"),
        ({"owner": "ana"}, "tells callers apart"),
        ({"owner": "${aws:username}*"}, "wildcard"),
        ({"owner": "${aws:PrincipalTag/owner, 'all'}"}, "without a default"),
        ({"owner": "${aws:RequestedRegion}"}, "tells callers apart"),
        ({"max_volume_gib": -1}, "whole number"),
        ({"markets": ["black"]}, "must be some of"),
        ({"pass_roles": ["*"]}, "can't be read"),
        ({"pass_roles": [f"arn:aws:iam::{ACCOUNT}:role/*"]}, "can't be read"),
        ({"image_owners": ["self"]}, "can't be read"),
        ({"until": "next year"}, "ISO 8601"),
    ],
)
def test_arguments_that_would_open_the_policy_are_refused(arguments, message):
    """Oracle: least privilege: a wildcard where money or power hangs on the value is an error, not an option."""
    given = {"account": ACCOUNT, "regions": [REGION], "instance_types": ["trn1.2xlarge"], **arguments}
    with pytest.raises(PolicyError, match=message):
        launch_policy(**given)


def test_a_policy_that_is_too_long_is_refused_with_its_size_and_the_limit():
    """Oracle: page reference_iam-quotas: 6,144 characters for a managed policy."""
    with pytest.raises(PolicyTooLargeError, match=r"over the limit of 6144 .* 'LaunchInstance'.*Remedy"):
        launch_policy(ACCOUNT, [REGION], [f"c{n}.12xlarge" for n in range(400)])
