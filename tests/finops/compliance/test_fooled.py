"""Settings that look right and are not. Oracles: AWS's documented rules, named in each test; the test made the faults.

Each account here would pass a search for the right words: a trail that records, a policy that names TLS, a rule without
0.0.0.0/0 (with the others in test_checks.py), a report without a failure.
"""

import boto3
import pytest
from botocore.stub import Stubber

from course_lib.finops.compliance import Settings, look
from tests.finops.compliance import faults

HERE = ["us-east-1"]


def status_of(account, check):
    return look(account, regions=HERE, checks=[check]).status_of(check)


SELECTORS = [
    ({"EventSelectors": [{"IncludeManagementEvents": True, "ReadWriteType": "All"}]}, "passed"),
    ({"EventSelectors": [{"IncludeManagementEvents": False, "ReadWriteType": "All"}]}, "failed"),
    ({"EventSelectors": [{"IncludeManagementEvents": True, "ReadWriteType": "WriteOnly"}]}, "failed"),
    ({"EventSelectors": [{"ExcludeManagementEventSources": ["kms.amazonaws.com"]}]}, "failed"),
    ({"AdvancedEventSelectors": [[("eventCategory", ["Management"])]]}, "passed"),
    ({"AdvancedEventSelectors": [[("eventCategory", ["Management"]), ("readOnly", ["true"])]]}, "failed"),
    ({"AdvancedEventSelectors": [[("eventCategory", ["Data"]), ("resources.type", ["AWS::S3::Object"])]]}, "failed"),
]


@pytest.mark.parametrize(("selectors", "status"), SELECTORS)
def test_a_trail_that_leaves_out_management_events_is_not_enough(account, selectors, status):
    """Oracle: AWS Config's multi-region-cloudtrail-enabled, and the fields of CloudTrail's event selectors."""
    arn = faults.trail(account, IsMultiRegionTrail=True)
    if "AdvancedEventSelectors" in selectors:
        rows = selectors["AdvancedEventSelectors"]
        fields = [{"FieldSelectors": [{"Field": name, "Equals": to} for name, to in row]} for row in rows]
        selectors = {"AdvancedEventSelectors": fields}
    account.client("cloudtrail").put_event_selectors(TrailName=arn, **selectors)
    found = look(account, regions=HERE, checks=["trail-everywhere"])
    assert [one.status for one in found.results] == [status]


def test_a_suspended_buckets_old_versions_must_go_as_well(account):
    """Oracle: S3's user guide: to suspend versioning leaves the versions that there are."""
    name = faults.bucket(account)
    faults.expire(account, name)
    faults.keep_versions(account, name)
    s3 = account.client("s3")
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Suspended"})
    assert status_of(account, "bucket-versioning") == "failed"
    assert status_of(account, "bucket-lifecycle") == "failed"


class OneAnswer:
    """An account in which one call of EC2 answers what AWS may answer, and its stand-in never does."""

    def __init__(self, account, call, answer):
        self._account, self._call, self._answer = account, call, answer

    def client(self, service, *, region=None):
        client = self._account.client(service, region=region)
        if service == "ec2":
            keys = {"region_name": region, "aws_access_key_id": "x", "aws_secret_access_key": "x"}
            told = boto3.client("ec2", **keys)
            stub = Stubber(told)
            stub.add_response(self._call, self._answer)
            stub.add_response("describe_vpcs", {"Vpcs": [{"VpcId": "vpc-1"}]})
            stub.activate()
            return told
        return client


@pytest.mark.parametrize(("delivers", "status"), [("SUCCESS", "passed"), ("FAILED", "failed")])
def test_a_flow_log_whose_records_do_not_arrive_is_none(account, delivers, status):
    """Oracle: EC2's API reference: FlowLogStatus is ACTIVE; the delivery has a field of its own."""
    log = {"FlowLogId": "fl-1", "ResourceId": "vpc-1", "FlowLogStatus": "ACTIVE", "DeliverLogsStatus": delivers}
    there = OneAnswer(account, "describe_flow_logs", {"FlowLogs": [log]})
    found = look(there, regions=HERE, checks=["flow-logs"])
    assert [one.status for one in found.results] == [status]


PLAIN = {"Bool": {"aws:SecureTransport": "false"}}
EXCEPTIONS = {
    "none": ({}, "passed"),
    "strangers": ({"Principal": {"AWS": "arn:aws:iam::123456789012:root"}}, "failed"),
    "an endpoint": ({"Condition": {**PLAIN, "StringNotEquals": {"aws:sourceVpce": "vpce-1"}}}, "failed"),
    "a network": ({"Condition": {**PLAIN, "NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}}, "failed"),
    "keys with another beginning": ({"Resource": ["arn:aws:s3:::records", "arn:aws:s3:::records/a*"]}, "failed"),
    "old versions": ({"Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"]}, "failed"),
    "a folder": ({"NotResource": ["arn:aws:s3:::records/public/*"], "Resource": None}, "failed"),
}


@pytest.mark.parametrize("case", EXCEPTIONS)
def test_a_policy_that_spares_somebody_or_something_from_tls_does_not_pass(account, case):
    """Oracle: IAM's rules for each element: what a Deny does not cover, or covers only at times, is not denied."""
    changes, status = EXCEPTIONS[case]
    name = faults.bucket(account)
    arns = [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]
    rule = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": arns, "Condition": PLAIN, **changes}
    rule = {key: value for key, value in rule.items() if value is not None}
    account.client("s3").put_bucket_policy(Bucket=name, Policy=faults.policy(rule))
    assert status_of(account, "bucket-tls") == status


def test_residency_does_not_pass_where_only_the_allowed_regions_were_looked_at(account):
    """Oracle: the instance that the test started in another region."""
    faults.instance(account, region="eu-west-1")
    decided = Settings(allowed_regions=tuple(HERE))
    partly = look(account, decided, regions=HERE, checks=["regional-things"])
    assert partly.status_of("regional-things") == "unseen"
    assert not partly.clean
    assert look(account, decided, checks=["regional-things"]).status_of("regional-things") == "failed"
