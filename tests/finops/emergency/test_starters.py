"""What starts instances is found and blocked, and what is protected in it stays. Oracle: boto3's own view of the
account before and after; the states of spot requests and fleets are those of EC2's API reference."""

import pytest

from course_lib.finops.emergency import carry_out, make_plan

REGIONS = ("us-east-1",)
LAUNCH = {"ImageId": "ami-12c6146b", "InstanceType": "trn1.2xlarge"}
PROTECTED = [{"Key": "protected", "Value": "true"}]


@pytest.fixture
def ec2(account):
    return account.client("ec2")


def told(group):
    return group.describe_auto_scaling_groups()["AutoScalingGroups"][0]


def states(ec2):
    return {
        one["InstanceId"]: one["State"]["Name"]
        for reservation in ec2.describe_instances()["Reservations"]
        for one in reservation["Instances"]
    }


def spot_fleet(account, ec2, tags=()):
    role = account.client("iam").create_role(RoleName="fleet", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    asked = {
        "TargetCapacity": 2,
        "SpotPrice": "1",
        "IamFleetRole": role,
        "AllocationStrategy": "lowestPrice",
        "LaunchSpecifications": [{**LAUNCH, "SubnetId": ec2.describe_subnets()["Subnets"][0]["SubnetId"]}],
    }
    if tags:
        asked["TagSpecifications"] = [{"ResourceType": "spot-fleet-request", "Tags": list(tags)}]
    return ec2.request_spot_fleet(SpotFleetRequestConfig=asked)["SpotFleetRequestId"]


def maintained(ec2, template, kind="maintain"):
    """A fleet of two that EC2 keeps up."""
    return ec2.create_fleet(
        Type=kind,
        LaunchTemplateConfigs=[{"LaunchTemplateSpecification": {"LaunchTemplateId": template, "Version": "1"}}],
        TargetCapacitySpecification={"TotalTargetCapacity": 2, "DefaultTargetCapacityType": "on-demand"},
    )["FleetId"]


def test_a_groups_protected_instance_stays_and_the_group_starts_nothing(account, ec2, group):
    kept, other = (one["InstanceId"] for one in told(group)["Instances"])
    ec2.create_tags(Resources=[kept], Tags=PROTECTED)
    plan = make_plan(account, REGIONS)
    assert [(starter.id, starter.protected) for starter in plan.starters] == [("nodes", False)]
    assert carry_out(account, plan, plan.phrase).failed == []
    assert {one: state for one, state in states(ec2).items() if one in (kept, other)} == {
        kept: "running",
        other: "terminated",
    }
    assert "Launch" in {process["ProcessName"] for process in told(group)["SuspendedProcesses"]}
    assert make_plan(account, REGIONS).starters == ()


def test_blocking_a_group_asks_for_its_members_not_for_the_whole_region(account, ec2, group):
    ec2.run_instances(**LAUNCH, MinCount=5, MaxCount=5)
    plan, members = make_plan(account, REGIONS), {one["InstanceId"] for one in told(group)["Instances"]}
    before = len(account.records())
    assert carry_out(account, plan, plan.phrase).failed == []
    calls = [one for one in account.records()[before:] if one["operation"] == "DescribeInstances"]
    asked = [{each["Name"]: each["Values"] for each in call["parameters"]["Filters"]} for call in calls]
    assert [set(filters["instance-id"]) for filters in asked if "instance-id" in filters] == [members]
    assert len(asked) == 2  # the other looks whether the plan still holds


def test_a_scheduled_action_of_a_blocked_group_would_start_nothing(account, group):
    """It sets the sizes anew, whatever they are; with Launch suspended that adds no instance."""
    plan = make_plan(account, REGIONS)
    assert carry_out(account, plan, plan.phrase).failed == []
    assert (told(group)["MaxSize"], told(group)["DesiredCapacity"]) == (0, 0)
    assert "Launch" in {process["ProcessName"] for process in told(group)["SuspendedProcesses"]}


def test_a_protected_spot_fleet_stays(account, ec2):
    fleet = spot_fleet(account, ec2, PROTECTED)
    plan = make_plan(account, REGIONS)
    assert [(one.kind, one.protected) for one in plan.starters if one.id == fleet] == [("spot fleet", True)]
    carry_out(account, plan, plan.phrase)
    (found,) = ec2.describe_spot_fleet_requests()["SpotFleetRequestConfigs"]
    assert (found["SpotFleetRequestId"], found["SpotFleetRequestState"]) == (fleet, "active")


def test_a_fleet_is_blocked_and_its_protected_instance_stays(account, ec2, template):
    fleet = maintained(ec2, template)
    kept, other = states(ec2)
    ec2.create_tags(Resources=[kept], Tags=PROTECTED)
    plan = make_plan(account, REGIONS)
    assert [(one.kind, one.id, one.protected) for one in plan.starters] == [("fleet", fleet, False)]
    assert carry_out(account, plan, plan.phrase).failed == []
    assert ec2.describe_fleets(FleetIds=[fleet])["Fleets"][0]["FleetState"] == "deleted_running"
    assert states(ec2) == {kept: "running", other: "terminated"}
    assert make_plan(account, REGIONS).starters == ()


def test_a_fleet_that_started_what_it_starts_is_no_starter(account, ec2, template):
    maintained(ec2, template, "instant")
    assert make_plan(account, REGIONS).starters == ()


def test_a_refusal_inside_a_good_answer_is_a_failure(account, ec2, template, monkeypatch):
    """DeleteFleets answers 200 and names under UnsuccessfulFleetDeletions what it did not delete."""
    fleet = maintained(ec2, template)
    plan = make_plan(account, REGIONS)
    refusal = {"FleetId": fleet, "Error": {"Code": "fleetNotInDeletableState", "Message": "It is being modified."}}
    monkeypatch.setattr(
        account.client("ec2", region="us-east-1"),
        "delete_fleets",
        lambda **_: {"SuccessfulFleetDeletions": [], "UnsuccessfulFleetDeletions": [refusal]},
    )
    (failed,) = carry_out(account, plan, plan.phrase).failed
    assert failed.what == fleet
    assert "blocking the fleet" in failed.why
    assert "fleetNotInDeletableState: It is being modified. Remedy: " in failed.why


@pytest.mark.parametrize(
    ("state", "kind", "starts"),
    [
        ("open", "one-time", True),  # waits for capacity
        ("active", "one-time", False),  # has its instance, and starts no other
        ("open", "persistent", True),
        ("active", "persistent", True),
        ("disabled", "persistent", True),  # its instance was stopped
        ("cancelled", "persistent", False),
        ("closed", "one-time", False),
    ],
)
def test_a_spot_request_that_would_start_an_instance_is_found(account, ec2, state, kind, starts):
    """moto fulfils each request at once: the other states are written into its answer, filtered as EC2 would."""
    ec2.request_spot_instances(InstanceCount=1, Type=kind, LaunchSpecification=LAUNCH)
    asked = {}

    def remember(params, **_):
        asked.update({one["Name"]: one["Values"] for one in params.get("Filters", ())})

    def rewrite(parsed, **_):
        for request in parsed["SpotInstanceRequests"]:
            request["State"] = state
        if state not in asked.get("state", [state]):
            parsed["SpotInstanceRequests"].clear()

    client = account.client("ec2", region="us-east-1")
    hooks = (
        ("provide-client-params.ec2.DescribeSpotInstanceRequests", remember),
        ("after-call.ec2.DescribeSpotInstanceRequests", rewrite),
    )
    for name, hook in hooks:
        client.meta.events.register(name, hook)
    try:
        found = make_plan(account, REGIONS).starters
    finally:
        for name, hook in hooks:
            client.meta.events.unregister(name, hook)
    assert [one.kind for one in found] == (["spot request"] if starts else [])


def test_a_protected_instance_protects_its_spot_request(account, ec2):
    asked = ec2.request_spot_instances(InstanceCount=1, Type="persistent", LaunchSpecification=LAUNCH)
    (kept,) = states(ec2)
    ec2.create_tags(Resources=[kept], Tags=PROTECTED)
    plan = make_plan(account, REGIONS)
    one = asked["SpotInstanceRequests"][0]["SpotInstanceRequestId"]
    assert [(starter.id, starter.protected) for starter in plan.starters] == [(one, True)]


def test_who_may_not_look_at_queues_still_finds_the_groups(account, group):
    account.inject("denied", "batch.*")
    plan = make_plan(account, REGIONS)
    assert [starter.id for starter in plan.starters] == ["nodes"]
    assert list(plan.unseen) == ["queues in us-east-1"]
