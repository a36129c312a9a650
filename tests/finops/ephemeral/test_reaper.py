"""The reaper. Oracle: boto3's own view of the running account before and after, and its ledger of calls."""

from datetime import timedelta

import pytest
from botocore.awsrequest import AWSResponse

from course_lib.finops.aws import AwsError
from course_lib.finops.ephemeral import TooManyError, end_instances, sweep
from course_lib.finops.ephemeral.replacers import replaced_by
from course_lib.finops.errors import FinopsError

HOUR = timedelta(hours=1)
HERE = ["us-east-1"]


def tags(account, hours, **more):
    end = (account.now() + hours * HOUR).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"owner": "ada", "project": "bert", "expires-at": end, **more}


def test_only_what_outlived_its_lease_ends_in_every_region(account, plain, states):
    late = plain(tags(account, 1)) + plain(tags(account, 1), region="eu-west-1")
    fine = plain(tags(account, 9), region="us-west-2")
    account.advance(2 * HOUR)
    found = sweep(account, apply=True)
    assert {verdict.instance for verdict in found.of("terminate")} == set(late)
    assert {verdict.overdue for verdict in found.of("terminate")} == {HOUR}
    assert found.failed == []
    assert states() == dict.fromkeys(late, "terminated") | dict.fromkeys(fine, "running")


def test_a_dry_run_says_the_same_and_changes_nothing(account, plain, states):
    (late,) = plain(tags(account, 1))
    account.advance(2 * HOUR)
    found = sweep(account)
    assert [(v.instance, v.action, v.why) for v in found.verdicts] == [
        (late, "terminate", "its lease ended 60 min ago")
    ]
    assert not found.applied
    assert states() == {late: "running"}
    assert not [r for r in account.records() if r["operation"] in ("TerminateInstances", "StopInstances")]


def test_the_moment_itself_counts_as_the_end(account, plain):
    plain(tags(account, 1))
    account.advance(HOUR)
    assert len(sweep(account).of("terminate")) == 1
    assert len(sweep(account, now=account.now() - timedelta(seconds=1)).of("keep")) == 1


def test_twice_is_as_once(account, plain, states):
    plain(tags(account, 1))
    account.advance(2 * HOUR)
    sweep(account, apply=True)
    again = sweep(account, apply=True)
    assert again.verdicts == ()
    assert set(states().values()) == {"terminated"}


def test_protected_instances_are_never_touched(account, plain, states):
    kept = plain(tags(account, 1, protected="true")) + plain({"protected": "True"})
    account.advance(99 * HOUR)
    found = sweep(account, apply=True, without_lease="terminate")
    assert {verdict.why for verdict in found.verdicts} == {"protected"}
    assert states() == dict.fromkeys(kept, "running")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "no tag owner or project or expires-at"),
        ({"owner": "ada", "project": "bert"}, "no tag expires-at"),
        ({"owner": "ada", "project": "bert", "expires-at": "tomorrow"}, "expires-at='tomorrow' is no time"),
        ({"owner": "ada", "project": "bert", "expires-at": "2026-12-01T08:00:00"}, "names no time zone"),
        ({"owner": " ", "project": "bert", "expires-at": "2026-12-01T08:00:00Z"}, "no tag owner"),
    ],
)
def test_without_a_lease_there_is_a_grace_and_then_a_stop(account, plain, states, given, said):
    (one,) = plain(given)
    account.advance(59 * timedelta(minutes=1))
    assert [v.action for v in sweep(account, apply=True).verdicts] == ["keep"]
    account.advance(timedelta(minutes=1))  # exactly an hour: the grace is over
    found = sweep(account, apply=True)
    assert [v.action for v in found.verdicts] == ["stop"]
    assert said in found.verdicts[0].why
    assert states() == {one: "stopped"}
    assert [v.action for v in sweep(account, apply=True).verdicts] == ["report"]


def test_a_protected_one_in_a_batch_costs_the_others_nothing(account, plain, states):
    plain(tags(account, 1), count=7)
    (held,) = plain(tags(account, 1), DisableApiTermination=True)
    plain(tags(account, 1), count=8)
    account.advance(2 * HOUR)
    found = sweep(account, apply=True)
    assert [(v.instance, "OperationNotPermitted" in v.error) for v in found.failed] == [(held, True)]
    ends = states()
    assert ends.pop(held) == "running"
    assert set(ends.values()) == {"terminated"}
    assert len(ends) == 15


def test_more_than_it_may_end_is_a_mistake_and_nothing_ends(account, plain, states):
    plain(tags(account, 1), count=5)
    account.advance(2 * HOUR)
    with pytest.raises(TooManyError, match="at_most=4 is less than the 5 instances to end"):
        sweep(account, apply=True, at_most=4)
    assert set(states().values()) == {"running"}
    assert len(sweep(account, apply=True, at_most=5).of("terminate")) == 5


def test_a_region_that_can_not_be_seen_does_not_keep_the_others(account, plain, states):
    (there,) = plain(tags(account, 1), region="eu-west-1")
    (here,) = plain(tags(account, 1))
    account.advance(2 * HOUR)
    account.inject("denied", "ec2.DescribeInstances", region="eu-west-1")
    found = sweep(account, apply=True)
    assert list(found.unseen) == ["eu-west-1"]
    assert "UnauthorizedOperation" in found.unseen["eu-west-1"]
    account.heal()
    assert states() == {there: "running", here: "terminated"}


def test_throttling_is_ridden_out(account, plain, states):
    plain(tags(account, 1), count=3)
    account.advance(2 * HOUR)
    account.inject("throttling", "ec2.*", times=2)
    assert sweep(account, regions=["us-east-1"], apply=True).failed == []
    assert set(states("us-east-1").values()) == {"terminated"}


def test_aws_time_counts_not_this_machines(account, plain):
    """The account's clock is days ahead of the real one."""
    plain(tags(account, 24))
    account.advance(25 * HOUR)
    assert len(sweep(account).of("terminate")) == 1


def test_a_time_without_a_zone_is_refused(account):
    with pytest.raises(FinopsError, match=r"now=.* names no time zone"):
        sweep(account, now=account.now().replace(tzinfo=None))


def test_without_permission_to_list_regions_it_says_so(account):
    account.inject("denied", "ec2.DescribeRegions")
    with pytest.raises(AwsError, match=r"listing the account's regions: UnauthorizedOperation.*Remedy: ask for"):
        sweep(account)


def test_one_that_is_gone_already_counts_as_ended(account, plain, states):
    (here,) = plain()
    ended = end_instances(account.client("ec2"), ["i-0123456789abcdef0", here], "terminate")
    assert ended == {"i-0123456789abcdef0": None, here: None}
    assert states() == {here: "terminated"}


def test_a_region_that_is_none_is_unseen_in_one_line(account):
    found = sweep(account, regions=["us-esat-1", "us-east-1"])
    assert list(found.unseen) == ["us-esat-1"]
    assert "look at the region's name" in found.unseen["us-esat-1"]
    assert "\n" not in found.unseen["us-esat-1"]


def test_an_unknown_action_is_refused(account):
    with pytest.raises(FinopsError, match=r"without_lease='terminated' is no action\. Remedy: use one of .*terminate"):
        sweep(account, without_lease="terminated")


def test_an_owners_name_may_have_any_character_that_ec2_takes(account, plain, states):
    """A lease is a lease: what runs under it runs to its end, and no further."""
    (one,) = plain(tags(account, 5) | {"owner": "Ada O'Neil, PhD"})
    account.advance(4 * HOUR)
    (kept,) = sweep(account, regions=HERE, apply=True).verdicts
    assert (kept.action, kept.lease.owner) == ("keep", "Ada O_Neil_ PhD")
    account.advance(1 * HOUR)
    assert [v.action for v in sweep(account, regions=HERE, apply=True).verdicts] == ["terminate"]
    assert states() == {one: "terminated"}


def test_one_that_a_policy_denies_costs_the_others_nothing(account, plain, states):
    """EC2 denies the whole call when a condition on tags fails for one of its instances."""
    instances = plain(tags(account, 1), count=8)
    account.advance(2 * HOUR)
    held, client = instances[5], account.client("ec2", region="us-east-1")

    def deny(params, **_):
        if held not in str(params["body"]):
            return None
        error = {"Code": "UnauthorizedOperation", "Message": "You are not authorized to perform this operation."}
        return AWSResponse("", 403, {}, None), {"Error": error, "ResponseMetadata": {}}

    client.meta.events.register("before-call.ec2.TerminateInstances", deny)
    try:
        found = sweep(account, regions=HERE, apply=True)
    finally:
        client.meta.events.unregister("before-call.ec2.TerminateInstances", deny)
    assert [verdict.instance for verdict in found.failed] == [held]
    assert states() == dict.fromkeys(instances, "terminated") | {held: "running"}


def test_who_would_start_the_next_instance_is_named(account):
    """What a sweep ends in a group comes back, an hour's grace at a time, until somebody sets the group to 0."""
    groups = account.client("autoscaling")
    groups.create_launch_configuration(
        LaunchConfigurationName="node", ImageId="ami-12c6146b", InstanceType="trn1.2xlarge"
    )
    sizes = {"MinSize": 1, "MaxSize": 1, "AvailabilityZones": ["us-east-1a"]}
    groups.create_auto_scaling_group(AutoScalingGroupName="nodes", LaunchConfigurationName="node", **sizes)
    (kept,) = sweep(account).verdicts
    assert "Auto Scaling group" not in kept.why
    account.advance(2 * HOUR)
    (verdict,) = sweep(account).verdicts
    assert verdict.action == "stop"
    assert verdict.why.endswith("It belongs to Auto Scaling group nodes, which may replace it.")


@pytest.mark.parametrize(
    ("tags_there", "by"),
    [
        ({"aws:ec2:fleet-id": "fleet-1"}, "fleet fleet-1"),
        ({"aws:ec2spot:fleet-request-id": "sfr-1"}, "spot fleet sfr-1"),
        ({"aws:autoscaling:groupName": ""}, ""),
        ({"name": "a"}, ""),
    ],
)
def test_the_tags_of_fleets_tell_what_keeps_their_instances_up(tags_there, by):
    assert replaced_by(tags_there) == by
