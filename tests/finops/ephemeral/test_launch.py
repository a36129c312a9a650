"""Launching with the end built in. Oracle: boto3's own view of the running account, and its ledger of calls."""

from datetime import datetime, timedelta, timezone

import pytest

from course_lib.catalog import instance
from course_lib.finops.aws import AwsError
from course_lib.finops.ephemeral import GROUP, LaunchError, Lease, LeaseError, borrow, launch, plan_launch
from course_lib.finops.iam import launch_policy

MINUTE = timedelta(minutes=1)


def described(account, one):
    return account.client("ec2").describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"][0]


def test_all_layers_are_there(account, request_for):
    asked = request_for(tags={"team": "speech"})
    (one,) = launch(account, asked).instances
    ec2 = account.client("ec2")
    told = described(account, one)
    tags = {tag["Key"]: tag["Value"] for tag in told["Tags"]}
    end = (account.now() + 60 * MINUTE).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert tags == {"owner": "ada@example.org", "project": "bert", "expires-at": end, "team": "speech"}
    behaviour = ec2.describe_instance_attribute(InstanceId=one, Attribute="instanceInitiatedShutdownBehavior")
    assert behaviour["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    assert told["MetadataOptions"]["HttpTokens"] == "required"
    schedule = account.client("scheduler").get_schedule(Name=f"lease-{one}", GroupName="ephemeral")
    assert schedule["ScheduleExpression"] == f"at({end[:-1]})"
    assert schedule["ActionAfterCompletion"] == "DELETE"
    volumes = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [one]}])["Volumes"]
    assert volumes
    assert all({"Key": "owner", "Value": "ada@example.org"} in volume["Tags"] for volume in volumes)


@pytest.mark.parametrize("layer", ["inside", "scheduler"])
def test_either_layer_alone_ends_it(account, request_for, states, layer):
    (one,) = launch(account, request_for()).instances
    account.put_to_sleep(**({"schedules": True} if layer == "inside" else {"guests": True}))
    account.advance(58 * MINUTE)
    assert states() == {one: "running"}
    account.advance(3 * MINUTE)
    assert states() == {one: "terminated"}


def test_the_timer_inside_does_not_count_from_the_boot(account, request_for, states):
    """Booting takes a minute in the practice account: a plain +60 would end a minute late."""
    (one,) = launch(account, request_for()).instances
    account.put_to_sleep(schedules=True)
    account.advance(60 * MINUTE)
    assert states() == {one: "terminated"}


def test_asking_twice_launches_once(account, request_for, states):
    asked = request_for(count=2)
    first = launch(account, asked).instances
    account.advance(5 * MINUTE)
    assert launch(account, asked).instances == first
    assert len(states()) == 2
    assert len(account.client("scheduler").list_schedules()["Schedules"]) == 2


def test_the_schedules_group_is_made_once_and_is_the_policys(account, request_for):
    """The launch policy allows schedules in this group only."""
    policy = launch_policy("123456789012", ["us-east-1"], ["trn1.*"], scheduler_role=request_for().scheduler_role)
    (one,) = [each for each in policy["Statement"] if each["Sid"] == "ScheduleEnd"]
    assert one["Resource"] == f"arn:aws:scheduler:*:123456789012:schedule/{GROUP}/*"
    scheduler = account.client("scheduler")
    for number in range(2):
        launch(account, request_for(tags={"run": str(number)}))
        assert [group["Name"] for group in scheduler.list_schedule_groups()["ScheduleGroups"]] == ["default", GROUP]
    assert len(scheduler.list_schedules(GroupName=GROUP)["Schedules"]) == 2
    made = [record for record in account.records() if record["operation"] == "CreateScheduleGroup"]
    assert len(made) == 1


def test_a_launch_that_gets_no_schedule_is_taken_back(account, request_for, states):
    account.inject("denied", "scheduler.CreateSchedule")
    with pytest.raises(LaunchError, match=r"scheduling the end of i-\w+: AccessDeniedException.*was taken back.*i-"):
        launch(account, request_for(count=2))
    assert set(states().values()) == {"terminated"}


def test_if_taking_back_fails_too_it_is_said_and_the_timer_ends_them(account, request_for, states):
    account.inject("denied", "scheduler.CreateSchedule")
    account.inject("denied", "ec2.TerminateInstances")
    with pytest.raises(LaunchError, match=r"UnauthorizedOperation.*Their own timer ends them"):
        launch(account, request_for())
    assert set(states().values()) == {"running"}
    account.advance(61 * MINUTE)
    assert set(states().values()) == {"terminated"}


def test_no_capacity_is_one_line_and_nothing_runs(account, request_for, states):
    account.inject("capacity", "ec2.RunInstances")
    with pytest.raises(
        AwsError, match=r"launching 1 x trn1.2xlarge.*InsufficientInstanceCapacity.*Remedy: try another"
    ):
        launch(account, request_for())
    assert states() == {}


def test_a_plan_changes_nothing_and_says_all(account, request_for):
    asked = request_for(minutes=120, count=3)
    plan = plan_launch(account, asked)
    assert plan.usd_at_most == pytest.approx(3 * 2 * instance("trn1.2xlarge").usd_per_hour())
    text = str(plan)
    assert "3 x trn1.2xlarge (on_demand) in us-east-1 for ada@example.org" in text
    assert f"at most {plan.usd_at_most:,.2f} USD of 100.00" in text
    assert [record["operation"] for record in account.records()] == ["GetCallerIdentity"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"budget_usd": 1.0}, r"budget_usd=1.0 is less than the 1.34 USD of 1 x trn1.2xlarge"),
        ({"budget_usd": -5.0}, r"budget_usd=-5.0 must be a finite number above 0"),
        ({"minutes": 5}, r"expires_at=.* is 0.08 h after AWS's time; a lease has 0.17 h to 336.00 h"),
        ({"minutes": -60}, r"is -1.00 h after AWS's time"),
        ({"minutes": 60 * 24 * 30}, r"is 720.00 h after AWS's time"),
        ({"count": 0}, r"count=0 must be a whole number of at least 1"),
        ({"instance_type": "trn9.huge"}, r"trn9.huge.*give usd_per_hour yourself"),
        ({"script": "import torch"}, r"script='import torch' is no shell script's first line"),
        ({"script": "#!/bin/sh\n" + "x" * 16384}, r"makes 16,4\d\d bytes of user data, and EC2 takes 16,384"),
        (
            {"scheduler_role": "arn:aws:iam::210987654321:role/ends-leases"},
            r"belongs to account 210987654321, and this is account 123456789012. Remedy: name one of account 1234",
        ),
        ({"scheduler_role": "ends-leases"}, r"scheduler_role='ends-leases' is no ARN such as belongs here"),
    ],
)
def test_what_is_refused_before_anything_is_asked_for(account, request_for, states, options, said):
    with pytest.raises(LaunchError, match=said):
        launch(account, request_for(**options))
    assert states() == {}


def test_the_script_runs_behind_the_timer(account, request_for):
    plan = plan_launch(account, request_for(script="#!/bin/bash\npip install torch\n"))
    first, timer, work = plan.run["UserData"].splitlines()
    assert (first, work) == ("#!/bin/bash", "pip install torch")
    assert timer.startswith("shutdown -P ")


def test_a_borrowed_instance_is_given_back(account, request_for, states):
    with borrow(account, request_for()) as launched:
        assert states() == dict.fromkeys(launched.instances, "running")
    assert states() == dict.fromkeys(launched.instances, "terminated")
    assert account.client("scheduler").list_schedules()["Schedules"] == []


def test_an_error_in_the_block_gives_back_and_is_passed_on(account, request_for, states):
    with pytest.raises(ZeroDivisionError), borrow(account, request_for()):
        raise ZeroDivisionError
    assert set(states().values()) == {"terminated"}


def test_what_can_not_be_given_back_is_named(account, request_for, states):
    with (
        pytest.raises(LaunchError, match=r"Still running: i-\w+\. Their schedule and their own timer end them at 2026"),
        borrow(account, request_for()),
    ):
        account.inject("denied", "ec2.TerminateInstances", actor="caller")
    account.heal()
    account.advance(61 * MINUTE)
    assert set(states().values()) == {"terminated"}


@pytest.mark.parametrize(
    ("owner", "end", "said"),
    [
        ("", "2026-12-01T08:00:00+00:00", "owner='' is no tag's value"),
        ("ada;drop", "2026-12-01T08:00:00+00:00", "owner='ada;drop' is no tag's value"),
        (" ada", "2026-12-01T08:00:00+00:00", "owner=' ada' is no tag's value"),
        ("ada", "2026-12-01T08:00:00", "expires-at='2026-12-01T08:00:00' names no time zone"),
    ],
)
def test_a_lease_that_can_not_be_a_tag_is_refused(owner, end, said):
    with pytest.raises(LeaseError, match=said):
        Lease(owner, "bert", datetime.fromisoformat(end))


def test_a_launch_that_was_taken_back_is_not_told_of_again(account, request_for, states):
    """EC2's word for a token whose instance has ended is IdempotentInstanceTerminated."""
    asked = request_for()
    account.inject("denied", "scheduler.CreateSchedule")
    with pytest.raises(LaunchError, match=r"was taken back: i-\w+ terminated"):
        launch(account, asked)
    account.heal()
    with pytest.raises(AwsError, match=r"IdempotentInstanceTerminated.*Remedy: choose another end"):
        launch(account, asked)
    assert set(states().values()) == {"terminated"}
    assert account.client("scheduler").list_schedules()["Schedules"] == []


def test_an_interrupt_between_launch_and_schedule_leaves_nothing(account, request_for, states):
    class Interrupted:
        def client(self, service, *, region=None):
            if service == "scheduler":
                raise KeyboardInterrupt
            return account.client(service, region=region)

    with pytest.raises(KeyboardInterrupt):
        launch(Interrupted(), request_for())
    assert list(states().values()) == ["terminated"]


def test_with_a_time_given_a_foreign_role_still_launches_nothing(account, request_for, states):
    asked = request_for(scheduler_role="arn:aws:iam::210987654321:role/ends-leases")
    with pytest.raises(LaunchError, match=r"belongs to account 210987654321"):
        launch(account, asked, account.now())
    assert states() == {}


def test_a_time_without_a_zone_is_refused(account, request_for, states):
    for work in (plan_launch, launch):
        with pytest.raises(LaunchError, match=r"now='2026-12-01T08:00:00' names no time zone"):
            work(account, request_for(), account.now().replace(tzinfo=None))
    assert states() == {}


def test_tags_of_ones_own_do_not_replace_the_lease(account, request_for):
    asked = request_for(tags={"expires-at": "2099-01-01T00:00:00Z", "owner": "nobody"})
    (one,) = launch(account, asked).instances
    tags = {tag["Key"]: tag["Value"] for tag in described(account, one)["Tags"]}
    assert (tags["owner"], tags["expires-at"]) == ("ada@example.org", "2026-12-01T09:00:00Z")


def test_a_lease_in_another_time_zone_ends_at_the_same_moment(account, request_for):
    zone = timezone(timedelta(hours=5, minutes=30))
    lease = Lease("ada", "bert", datetime(2026, 12, 1, 16, 0, tzinfo=zone))  # 10:30 UTC
    (one,) = launch(account, request_for(lease=lease)).instances
    schedule = account.client("scheduler").get_schedule(Name=f"lease-{one}", GroupName="ephemeral")
    assert schedule["ScheduleExpression"] == "at(2026-12-01T10:30:00)"
    assert {"Key": "expires-at", "Value": "2026-12-01T10:30:00Z"} in described(account, one)["Tags"]
