"""What AWS refuses to show is never passed. Oracle: the calls that the test lets AWS deny, and moto's own gaps."""

import boto3
import pytest

from course_lib.finops.aws import AwsError
from course_lib.finops.compliance import CHECKS, Settings, look
from course_lib.finops.compliance.facts import read
from tests.finops.compliance import faults

HERE = ["us-east-1"]
ALLOWED = Settings(allowed_regions=("us-east-1",))


def test_denied_everywhere_nothing_is_passed(account):
    for break_, mend in faults.PAIRS.values():
        if break_ is faults.instance:
            mend(account, break_(account))
    for service in ("ec2", "logs", "s3", "iam", "cloudtrail"):
        account.inject("denied", f"{service}.*")
    found = look(account, ALLOWED, regions=HERE)
    assert {one.check for one in found.results} == {check.name for check in CHECKS}
    assert {one.status for one in found.results} == {"unseen"}
    assert all("denied" in one.evidence.lower() or "not authorized" in one.evidence for one in found.results)
    assert all(one.remedy for one in found.results)
    assert not found.clean


@pytest.mark.parametrize(
    ("check", "call"),
    [
        ("bucket-tls", "s3.GetBucketPolicy"),
        ("bucket-encryption", "s3.GetBucketEncryption"),
        ("bucket-private", "s3.GetPublicAccessBlock"),
        ("bucket-place", "s3.GetBucketLocation"),
        ("bucket-access-log", "s3.GetBucketLogging"),
    ],
)
def test_one_setting_of_a_bucket_that_can_not_be_read_is_unseen_for_it_alone(account, check, call):
    """A missing policy is AWS's word NoSuchBucketPolicy; AccessDenied is another word, and must not read as one."""
    faults.bucket(account)
    account.inject("denied", call)
    found = look(account, ALLOWED, regions=HERE, checks=[check, "bucket-versioning"])
    assert [one.status for one in found.results if one.check == check] == ["unseen"]
    others = {one.status for one in found.results if one.check != check}
    assert others == ({"unseen"} if call == "s3.GetBucketLocation" else {"failed"})


def test_what_was_judged_before_the_denial_stays(account):
    faults.public_snapshot(account)
    account.client("ec2").create_snapshot(VolumeId=faults.plain_volume(account))
    account.inject("denied", "ec2.DescribeSnapshotAttribute", skip=1)
    found = look(account, regions=HERE, checks=["snapshot-private"])
    assert [one.resource for one in found.of("unseen")] == ["region us-east-1"]
    assert len(found.of("failed")) + len(found.of("passed")) == 1


def test_one_region_that_can_not_be_seen_keeps_no_other_from_being_judged(account):
    faults.plain_volume(account)
    account.inject("denied", "ec2.*", region="eu-west-1")
    found = look(account, regions=["us-east-1", "eu-west-1"], checks=["volume-encryption"])
    assert [(one.region, one.status) for one in found.results] == [("eu-west-1", "unseen"), ("us-east-1", "failed")]
    assert found.status_of("volume-encryption") == "failed"


def test_a_call_that_the_endpoint_does_not_know_is_an_error_in_one_line_for_both_kinds_of_clients(account):
    """moto 5.2.5 does not answer GetSnapshotBlockPublicAccessState; AWS does."""
    keys = {"aws_access_key_id": "practice", "aws_secret_access_key": "practice"}
    plain = boto3.client("ec2", region_name="us-east-1", endpoint_url=account.url, **keys)
    for client in (account.client("ec2"), plain):
        with pytest.raises(AwsError, match=r"get_snapshot_block_public_access_state: "):
            read(client, "get_snapshot_block_public_access_state")


def test_all_pages_are_read(account):
    logs = account.client("logs")
    for number in range(60):  # CloudWatch Logs lists 50 at a time
        logs.create_log_group(logGroupName=f"/bert/{number:02d}")
    account.forget_records()
    found = look(account, regions=HERE, checks=["log-retention"])
    assert len(found.of("failed")) == 60
    assert sum(record["operation"] == "DescribeLogGroups" for record in account.records()) == 2
