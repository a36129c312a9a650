"""The emergency shutdown. Oracle: boto3's own view of the running account before and after, and its ledger of calls."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from course_lib.catalog import instance
from course_lib.finops.emergency import EmergencyError, carry_out, load_plan, make_plan, save_plan

REGIONS = ("eu-west-1", "us-east-1")
MINUTE = timedelta(minutes=1)


@pytest.fixture
def run(account):
    """Launches with boto3 alone."""

    def make(count=1, region="us-east-1", tags=None, instance_type="trn1.2xlarge"):
        specification = [
            {"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in (tags or {}).items()]}
        ]
        told = account.client("ec2", region=region).run_instances(
            ImageId="ami-12c6146b",
            InstanceType=instance_type,
            MinCount=count,
            MaxCount=count,
            **({"TagSpecifications": specification} if tags else {}),
        )
        return [one["InstanceId"] for one in told["Instances"]]

    return make


@pytest.fixture
def states(account):
    """Every instance's state, as boto3 tells it."""

    def read():
        return {
            one["InstanceId"]: one["State"]["Name"]
            for region in REGIONS
            for page in account.client("ec2", region=region).get_paginator("describe_instances").paginate()
            for reservation in page["Reservations"]
            for one in reservation["Instances"]
        }

    return read


def changes(account):
    return [r["operation"] for r in account.records() if r["operation"].startswith(("Terminate", "Update", "Cancel"))]


def test_a_plan_names_everything_and_changes_nothing(account, run, group):
    ours = run(2) + run(1, "eu-west-1", {"owner": "ada"}, "p5.48xlarge")
    (kept,) = run(1, tags={"protected": "true"})
    plan = make_plan(account, REGIONS)
    assert {machine.id for machine in plan.doomed} >= set(ours)
    assert kept not in {machine.id for machine in plan.doomed}
    assert len(plan.doomed) == len(ours) + 2  # the group's
    prices = [instance(name).usd_per_hour() for name in ("trn1.2xlarge", "p5.48xlarge")]
    assert plan.usd_per_hour == pytest.approx(4 * prices[0] + prices[1])
    assert [(starter.kind, starter.id) for starter in plan.starters] == [("auto scaling group", "nodes")]
    assert plan.phrase == "end 5 instances in 123456789012"
    assert changes(account) == []


def test_what_starts_instances_is_blocked_before_they_end(account, run, group, states):
    mine = run(2) + run(1, "eu-west-1")
    (kept,) = run(1, tags={"protected": "true"})
    plan = make_plan(account, REGIONS)
    report = carry_out(account, plan, plan.phrase)
    assert report.failed == []
    assert {outcome.what for outcome in report.ended} >= set(mine)
    left = {outcome.why: outcome.what for outcome in report.left}
    assert left["protected"] == kept
    assert set(left) == {"protected", "gone already"}  # the group itself ended its own
    assert report.usd_per_hour == pytest.approx(plan.usd_per_hour)
    assert changes(account)[0] == "UpdateAutoScalingGroup"
    alive = {one for one, state in states().items() if state != "terminated"}
    assert alive == {kept}  # nothing came back either
    sizes = group.describe_auto_scaling_groups()["AutoScalingGroups"][0]
    assert (sizes["MinSize"], sizes["MaxSize"], sizes["DesiredCapacity"]) == (0, 0, 0)


def test_a_saved_plan_is_the_plan(account, run, group, tmp_path):
    run(2)
    plan = make_plan(account, REGIONS)
    save_plan(plan, tmp_path / "plan.json")
    assert load_plan(tmp_path / "plan.json") == plan


def test_a_plan_that_was_edited_is_refused(account, run, tmp_path):
    run(1)
    path = tmp_path / "plan.json"
    save_plan(make_plan(account, REGIONS), path)
    saved = json.loads(path.read_text())
    saved["plan"]["machines"][0]["id"] = "i-0123456789abcdef0"
    path.write_text(json.dumps(saved))
    with pytest.raises(EmergencyError, match="was edited after it was made"):
        load_plan(path)


@pytest.mark.parametrize("text", ["", "{}", "[]", "not json"])
def test_a_file_that_is_no_plan_is_refused(tmp_path, text):
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(EmergencyError, match="is no plan"):
        load_plan(path)


@pytest.mark.parametrize("typed", ["", "yes", "end 2 instances in 123456789012"])
def test_another_phrase_ends_nothing(account, run, states, typed):
    run(1)
    plan = make_plan(account, REGIONS)
    with pytest.raises(
        EmergencyError, match=r"does not confirm this plan\. Remedy: type: end 1 instances in 123456789012"
    ):
        carry_out(account, plan, typed)
    assert set(states().values()) == {"running"}


def test_an_old_plan_ends_nothing(account, run, states):
    run(1)
    plan = make_plan(account, REGIONS)
    account.advance(16 * MINUTE)
    with pytest.raises(EmergencyError, match="is too old"):
        carry_out(account, plan, plan.phrase)
    assert set(states().values()) == {"running"}


def test_another_accounts_plan_ends_nothing(account, run, states):
    run(1)
    plan = replace(make_plan(account, REGIONS), account="999999999999")
    with pytest.raises(EmergencyError, match="account='123456789012' is not the plan's, 999999999999"):
        carry_out(account, plan, plan.phrase)
    assert set(states().values()) == {"running"}


def test_what_changed_since_the_plan_is_respected(account, run, states):
    first, second, third = run(3)
    plan = make_plan(account, REGIONS)
    ec2 = account.client("ec2")
    ec2.create_tags(Resources=[first], Tags=[{"Key": "protected", "Value": "true"}])
    ec2.terminate_instances(InstanceIds=[second])
    (later,) = run(1)
    report = carry_out(account, plan, plan.phrase)
    assert [outcome.what for outcome in report.ended] == [third]
    assert {outcome.what: outcome.why for outcome in report.left} == {first: "protected", second: "gone already"}
    ends = states()
    assert (ends[first], ends[third], ends[later]) == ("running", "terminated", "running")


def test_what_can_not_be_ended_is_in_the_report(account, run, states):
    run(1)
    (far,) = run(1, "eu-west-1")
    plan = make_plan(account, REGIONS)
    account.inject("denied", "ec2.TerminateInstances", region="eu-west-1")
    report = carry_out(account, plan, plan.phrase)
    assert [(outcome.what, "UnauthorizedOperation" in outcome.why) for outcome in report.failed] == [(far, True)]
    assert report.usd_per_hour == pytest.approx(instance("trn1.2xlarge").usd_per_hour())
    assert sorted(states().values()) == ["running", "terminated"]


def test_what_costs_money_afterwards_is_found(account, run):
    ec2 = account.client("ec2")
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=500, VolumeType="gp3")["VolumeId"]
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    run(1)  # its own volume is in use
    found = make_plan(account, REGIONS).orphans
    assert {(orphan.kind, orphan.id) for orphan in found} == {("volume", volume), ("address", address)}
    assert next(orphan.note for orphan in found if orphan.kind == "volume") == "500 GiB gp3"


def test_a_region_that_can_not_be_seen_is_named(account, run):
    run(1)
    account.inject("denied", "ec2.DescribeInstances", region="eu-west-1")
    plan = make_plan(account, REGIONS)
    assert list(plan.unseen) == ["machines in eu-west-1"]
    assert len(plan.doomed) == 1


def test_what_is_stopped_costs_nothing_to_run(account, run):
    stopped, _ = run(2)
    account.client("ec2").stop_instances(InstanceIds=[stopped])
    assert make_plan(account, REGIONS).usd_per_hour == pytest.approx(instance("trn1.2xlarge").usd_per_hour())


def test_a_batch_queue_is_disabled(account):
    iam, batch = account.client("iam"), account.client("batch")
    role = iam.create_role(RoleName="batch", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    batch.create_compute_environment(computeEnvironmentName="trn", type="UNMANAGED", serviceRole=role)
    order = [{"order": 1, "computeEnvironment": "trn"}]
    batch.create_job_queue(jobQueueName="work", state="ENABLED", priority=1, computeEnvironmentOrder=order)
    plan = make_plan(account, REGIONS)
    assert [(starter.kind, starter.id) for starter in plan.starters] == [("batch queue", "work")]
    assert carry_out(account, plan, plan.phrase).failed == []
    assert batch.describe_job_queues()["jobQueues"][0]["state"] == "DISABLED"
    assert make_plan(account, REGIONS).starters == ()


def test_an_address_in_use_is_no_orphan(account, run):
    ec2 = account.client("ec2")
    (one,) = run(1)
    ec2.associate_address(AllocationId=ec2.allocate_address(Domain="vpc")["AllocationId"], InstanceId=one)
    assert make_plan(account, REGIONS).orphans == ()


def test_a_region_that_can_not_be_seen_any_more_is_a_failure(account, run, states):
    (far,) = run(1, "eu-west-1")
    (near,) = run(1)
    (kept,) = run(1, "eu-west-1", {"protected": "true"})
    plan = make_plan(account, REGIONS)
    account.inject("denied", "ec2.DescribeInstances", region="eu-west-1")
    report = carry_out(account, plan, plan.phrase)
    assert [(outcome.what, "UnauthorizedOperation" in outcome.why) for outcome in report.failed] == [(far, True)]
    assert [(outcome.what, outcome.why) for outcome in report.left] == [(kept, "protected")]
    account.heal()
    assert states() == {far: "running", near: "terminated", kept: "running"}
