"""The audit. Oracle: what the test itself launched, region by region, and the ledger's count of calls."""

from datetime import timedelta

import pytest

from course_lib.finops.errors import FinopsError
from course_lib.finops.guardrails import audit

HOUR = timedelta(hours=1)
HERE = ["us-east-1"]  # where most tests look; one looks everywhere


@pytest.fixture
def run(account):
    def run(tags=None, region="us-east-1", volumes=True, **options):
        end = (account.now() + 2 * HOUR).strftime("%Y-%m-%dT%H:%M:%SZ")
        given = {"owner": "ada", "project": "bert", "expires-at": end} | (tags or {})
        listed = [{"Key": key, "Value": value} for key, value in given.items() if value is not None]
        kinds = ("instance", "volume") if volumes else ("instance",)
        told = account.client("ec2", region=region).run_instances(
            ImageId="ami-12c6146b",
            InstanceType="trn1.2xlarge",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": kind, "Tags": listed} for kind in kinds],
            **options,
        )
        return told["Instances"][0]["InstanceId"]

    return run


def found(account, **options):
    told = audit(account, **{"regions": HERE, **options})
    return [(one.resource, one.rule, one.detail, one.owner) for one in told.violations]


def test_what_is_as_it_should_be_breaks_no_rule(account, run):
    run()
    run(region="eu-west-1")
    told = audit(account, regions=["us-east-1", "eu-west-1"])
    assert (told.instances, told.volumes, told.violations, told.clean) == (2, 2, (), True)


@pytest.mark.parametrize(
    ("tags", "rule", "detail"),
    [
        ({"owner": None}, "missing tag", "owner"),
        ({"project": ""}, "empty tag", "project has no value"),
        ({"owner": None, "Owner": "ada"}, "misspelled tag", "Owner is not owner: capitals count"),
        ({"expires-at": "2026-12-01T18:00:00"}, "unreadable end", "names no time zone"),
        ({"expires-at": "tomorrow"}, "unreadable end", "is no time"),
        ({"expires-at": None}, "missing tag", "expires-at"),
    ],
)
def test_each_broken_rule_is_named_for_instance_and_volume(account, run, tags, rule, detail):
    one = run(tags, region="us-west-2")
    told = audit(account, regions=["us-west-2"])
    assert [(each.kind, each.region, each.rule) for each in told.violations] == [
        ("instance", "us-west-2", rule),
        ("volume", "us-west-2", rule),
    ]
    assert all(detail in each.detail for each in told.violations)
    assert told.violations[0].resource == one


def test_the_owner_is_found_where_there_is_any_trace(account, run):
    account.client("ec2").create_key_pair(KeyName="grace")
    tagged = run(volumes=False)
    keyed = run({"owner": None}, KeyName="grace")
    nameless = run({"owner": None})
    capital = run({"owner": None, "Owner": "ben"})
    whom = {one.resource: one.owner for one in audit(account, regions=HERE).violations}
    assert whom[keyed] == "holder of the key pair grace"
    assert whom[nameless] == "(nobody known)"
    assert whom[capital] == "ben"
    assert tagged not in whom
    disks = account.client("ec2").describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [tagged]}])
    assert whom[disks["Volumes"][0]["VolumeId"]] == "ada"  # the volume has no tags; its instance knows


def test_what_outlived_its_lease_is_told_and_what_is_protected_needs_no_end(account, run):
    late = run()
    kept = run({"protected": "true", "expires-at": None})
    account.advance(3 * HOUR)
    told = found(account)
    assert {(resource, rule) for resource, rule, *_ in told if resource.startswith("i-")} == {(late, "expired")}
    assert kept not in [resource for resource, *_ in told]
    assert found(account, now=account.now() - 2 * HOUR) == []


def test_an_orphaned_volume_is_seen(account, run):
    disk = account.client("ec2").create_volume(AvailabilityZone="us-east-1a", Size=500)["VolumeId"]
    assert {(resource, owner) for resource, _, _, owner in found(account)} == {(disk, "(nobody known)")}


def test_it_asks_each_region_once_a_page_and_writes_nothing(account, run):
    ids = {run({"owner": None}), run({"owner": None}, region="ap-northeast-1")}
    regions = len(account.client("ec2").describe_regions()["Regions"])
    since = len(account.records())
    assert ids <= {one.resource for one in audit(account).violations}
    calls = [record["operation"] for record in account.records(since)]
    assert calls.count("DescribeInstances") == calls.count("DescribeVolumes") == regions
    assert set(calls) == {"GetCallerIdentity", "DescribeRegions", "DescribeInstances", "DescribeVolumes"}


def test_a_region_that_can_not_be_seen_is_named_and_the_others_are_looked_at(account, run):
    there = run({"owner": None}, region="eu-west-1")
    account.inject("denied", "ec2.DescribeInstances", region="us-east-1")
    told = audit(account, regions=["us-east-1", "eu-west-1"])
    assert list(told.unseen) == ["us-east-1"]
    assert not told.clean
    assert there in [one.resource for one in told.violations]


def test_other_tags_can_be_asked_for(account, run):
    one = run()
    assert [each[:2] for each in found(account, required=["team"]) if each[0] == one] == [(one, "missing tag")]


def test_nothing_is_clean_where_nothing_was_looked_at(account):
    with pytest.raises(FinopsError, match=r"regions=\[\] names no region"):
        audit(account, regions=[])


def test_a_time_without_a_zone_is_refused(account):
    with pytest.raises(FinopsError, match=r"now=.* names no time zone"):
        audit(account, now=account.now().replace(tzinfo=None))
