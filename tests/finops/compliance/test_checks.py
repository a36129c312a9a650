"""Each check, on an account with one fault and with the fault mended. Oracle: what the test made with boto3 calls.

What counts as a fault is AWS's own documented rule (AWS Config's managed rules), named in each module of the checks.
"""

from datetime import timedelta

import pytest
from botocore.stub import Stubber

from course_lib.finops.compliance import CHECKS, ComplianceError, Settings, look
from tests.finops.compliance import faults

HERE = ["us-east-1"]
DAY = timedelta(days=1)


def judged(account, check, resource, **options):
    """The status of one resource."""
    settings = Settings(**options)
    found = look(account, settings, regions=HERE, checks=[check]).results
    return {one.resource: one.status for one in found}.get(resource)


@pytest.mark.parametrize("check", faults.PAIRS)
def test_a_fault_is_found_and_gone_when_mended(account, check):
    break_, mend = faults.PAIRS[check]
    resource = break_(account)
    told = {one.resource: one for one in look(account, regions=HERE, checks=[check]).results}[resource]
    assert told.status == "failed"
    assert told.evidence
    assert told.remedy
    mend(account, resource)
    after = look(account, regions=HERE, checks=[check])
    assert after.of("passed", check)
    assert resource not in {one.resource for one in after.of("failed")}


def test_every_check_has_such_a_test(account):
    elsewhere = {"regional-things", "bucket-place", "root-user", "key-age", "unused"}
    assert {check.name for check in CHECKS} == set(faults.PAIRS) | elsewhere


def test_no_check_changes_anything(account):
    """Oracle: the words with which AWS begins the names of calls that only read."""
    for break_ in (faults.public_snapshot, faults.password, faults.open_group, faults.endless_logs):
        break_(account)
    faults.log_access(account, faults.bucket(account))
    account.forget_records()
    look(account, Settings(allowed_regions=("eu-west-1",)), regions=HERE)
    calls = {record["operation"] for record in account.records()}
    assert len(calls) > 20
    assert {call for call in calls if not call.startswith(("Describe", "Get", "List"))} == set()


@pytest.mark.parametrize("make", [faults.instance, faults.plain_volume, faults.endless_logs])
def test_what_lies_outside_the_allowed_regions_is_named(account, make):
    name = make(account)
    found = look(account, Settings(allowed_regions=("eu-west-1",)), regions=HERE, checks=["regional-things"])
    assert any(name in one.resource for one in found.of("failed"))
    assert not look(account, Settings(allowed_regions=tuple(HERE)), regions=HERE, checks=["regional-things"]).of(
        "failed"
    )


def test_a_bucket_outside_the_allowed_regions_is_named(account):
    faults.bucket(account)
    place = {"LocationConstraint": "eu-west-1"}
    account.client("s3").create_bucket(Bucket="there", CreateBucketConfiguration=place)
    found = look(account, Settings(allowed_regions=("eu-west-1",)), regions=HERE, checks=["bucket-place"])
    assert {one.resource: one.status for one in found.results} == {faults.NAME: "failed", "there": "passed"}


def test_residency_is_not_judged_before_people_decided_on_regions(account):
    faults.instance(account)
    found = look(account, regions=HERE, checks=["regional-things"])
    assert [one.status for one in found.results] == ["not applicable"]
    assert "decided" in found.results[0].evidence


@pytest.mark.parametrize(("days", "status"), [(90, "passed"), (91, "failed")])
def test_a_key_is_too_old_the_day_after_its_limit(account, days, status):
    """AWS Config's access-keys-rotated with its default, 90 days."""
    key = account.client("iam").create_access_key(UserName=faults.user(account))["AccessKey"]["AccessKeyId"]
    account.advance(days * DAY)
    found = look(account, regions=HERE, checks=["key-age"])
    assert [one.status for one in found.results] == [status]
    assert key not in found.as_json()
    account.client("iam").update_access_key(UserName="ada", AccessKeyId=key, Status="Inactive")
    assert look(account, regions=HERE, checks=["key-age"]).status_of("key-age") == "not applicable"


def test_who_was_not_here_for_long_is_named_and_a_services_own_role_is_not(account):
    iam = account.client("iam")
    faults.user(account)
    trust = faults.policy({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"})
    iam.create_role(RoleName="old", AssumeRolePolicyDocument=trust)
    iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com")
    assert look(account, regions=HERE, checks=["unused"]).clean
    account.advance(91 * DAY)
    iam.create_role(RoleName="new", AssumeRolePolicyDocument=trust)
    found = look(account, regions=HERE, checks=["unused"])
    assert {one.resource for one in found.of("failed")} == {"user ada", "role old"}
    assert [one.resource for one in found.of("passed")] == ["role new"]


class OnlyIam:
    """An account whose IAM answers what a `Stubber` of botocore was told; the stubber checks it against AWS's model."""

    def __init__(self, account, **summary):
        import boto3

        self._account = account
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        self._iam = boto3.client("iam", region_name="us-east-1", **keys)
        stub = Stubber(self._iam)
        stub.add_response("get_account_summary", {"SummaryMap": summary})
        stub.activate()

    def client(self, service, *, region=None):
        return self._iam if service == "iam" else self._account.client(service, region=region)


@pytest.mark.parametrize(
    ("keys", "factors", "failed"),
    [(0, 1, set()), (1, 1, {"root user's keys"}), (0, 0, {"root user's login"})],
)
def test_the_root_user_has_a_second_factor_and_no_keys(account, keys, factors, failed):
    there = OnlyIam(account, AccountAccessKeysPresent=keys, AccountMFAEnabled=factors)
    found = look(there, regions=HERE, checks=["root-user"])
    assert {one.resource for one in found.of("failed")} == failed


@pytest.mark.parametrize(("everywhere", "records"), [(False, True), (True, False)])
def test_a_trail_of_one_region_or_one_that_was_stopped_is_not_enough(account, everywhere, records):
    arn = faults.trail(account, IsMultiRegionTrail=everywhere)
    if not records:
        account.client("cloudtrail").stop_logging(Name=arn)
    (told,) = look(account, regions=HERE, checks=["trail-everywhere"]).of("failed")
    assert ("one region" if not everywhere else "stopped") in told.evidence


def test_a_versioned_bucket_forgets_only_if_its_old_versions_go(account):
    name = faults.bucket(account)
    faults.expire(account, name)
    faults.keep_versions(account, name)
    assert judged(account, "bucket-lifecycle", name) == "failed"
    rule = {"ID": "all", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}}
    rules = {"Rules": [{**rule, "NoncurrentVersionExpiration": {"NoncurrentDays": 7}}]}
    account.client("s3").put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration=rules)
    assert judged(account, "bucket-lifecycle", name) == "passed"
    rules["Rules"][0]["Status"] = "Disabled"
    account.client("s3").put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration=rules)
    assert judged(account, "bucket-lifecycle", name) == "failed"


def test_a_policy_that_lets_one_action_through_over_http_does_not_pass(account):
    """A search for aws:SecureTransport would be content with it; IAM's rules are not."""
    name = faults.bucket(account)
    rule = {
        "Effect": "Deny",
        "Principal": "*",
        "NotAction": "s3:PutObject",
        "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    account.client("s3").put_bucket_policy(Bucket=name, Policy=faults.policy(rule))
    (told,) = look(account, regions=HERE, checks=["bucket-tls"]).of("failed")
    assert "s3:PutObject" in told.evidence
    assert "s3:GetObject" not in told.evidence


@pytest.mark.parametrize(("days", "status"), [(30, "failed"), (365, "passed"), (3653, "failed")])
def test_log_groups_keep_their_events_neither_too_short_nor_too_long(account, days, status):
    faults.endless_logs(account)
    account.client("logs").put_retention_policy(logGroupName="/bert/training", retentionInDays=days)
    assert judged(account, "log-retention", "/bert/training", log_days=(365, 1096)) == status


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ({"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, "passed"),
        ({"IpProtocol": "tcp", "FromPort": 443, "ToPort": 444, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, "failed"),
        ({"IpProtocol": "udp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, "failed"),
        ({"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}, "failed"),
        ({"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}, "passed"),
        ({"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, "failed"),
        ({"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/1"}, {"CidrIp": "128.0.0.0/1"}]}, "failed"),
        ({"IpProtocol": "-1", "IpRanges": [{"CidrIp": "64.0.0.0/2"}]}, "passed"),
        ({"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "2000::/3"}]}, "failed"),
        ({"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "fd00::/8"}, {"CidrIpv6": "2001:db8::/32"}]}, "passed"),
    ],
)
def test_a_security_group_opens_allowed_tcp_ports_only(account, rule, status):
    ec2 = account.client("ec2")
    name = ec2.create_security_group(GroupName="web", Description="web")["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=name, IpPermissions=[rule])
    assert judged(account, "security-groups", name, open_ports=(443,)) == status


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"key_days": 0}, r"key_days=0 must be a whole number of at least 1"),
        ({"unused_days": 1.5}, r"unused_days=1.5 must be a whole number"),
        ({"log_days": (400, 365)}, r"log_days=\(400, 365\) has its bounds the wrong way round"),
        ({"log_days": (365,)}, r"log_days=\(365,\) must be two numbers"),
        ({"open_ports": (70000,)}, r"open_ports=70000 is no TCP port"),
        ({"allowed_regions": "eu-west-1"}, r"allowed_regions='eu-west-1' must be a tuple"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, words):
    with pytest.raises(ComplianceError, match=words):
        Settings(**settings)


def test_a_check_that_there_is_not_is_refused(account):
    with pytest.raises(ComplianceError, match=r"checks='volumes' is no check"):
        look(account, checks=["volumes"])
    with pytest.raises(ComplianceError, match=r"checks=\[\] names no check"):
        look(account, checks=[])
    with pytest.raises(ComplianceError, match=r"regions=\[\] names no region"):
        look(account, regions=[])
