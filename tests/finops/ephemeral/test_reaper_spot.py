"""The reaper and spot instances. Oracle: EC2's guide: one of a one-time request can't be stopped, and one of a
persistent request comes back unless that is canceled, https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-requests.html."""

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from course_lib.finops.ephemeral import sweep

HOUR = timedelta(hours=1)
HERE = ["us-east-1"]


def tags(account, hours):
    end = (account.now() + hours * HOUR).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"owner": "ada", "project": "bert", "expires-at": end}


def spot(kind):
    return {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": kind}}}


def test_what_ec2_can_not_stop_does_not_run_for_ever(account, plain, states):
    (one,) = plain(**spot("one-time"))
    with pytest.raises(ClientError, match=r"\(UnsupportedOperation\).*You can't stop the Spot Instance"):
        account.client("ec2").stop_instances(InstanceIds=[one])
    account.advance(2 * HOUR)
    found = sweep(account, regions=HERE)
    assert [(v.action, v.why.endswith("2 h old. A spot instance can't be stopped.")) for v in found.verdicts] == [
        ("terminate", True)
    ]
    assert sweep(account, regions=HERE, apply=True).failed == []
    assert states() == {one: "terminated"}


def test_a_persistent_spot_instance_is_stopped(account, states):
    ec2 = account.client("ec2")
    ec2.request_spot_instances(
        InstanceCount=1,
        Type="persistent",
        LaunchSpecification={"ImageId": "ami-12c6146b", "InstanceType": "trn1.2xlarge"},
    )
    account.advance(2 * HOUR)
    assert [(v.action, v.error) for v in sweep(account, regions=HERE, apply=True).verdicts] == [("stop", "")]
    assert list(states().values()) == ["stopped"]


@pytest.mark.parametrize("denied", [False, True])
def test_a_persistent_request_is_canceled_before_its_instance_ends(account, states, denied):
    """EC2 would open the request again, and start the next instance; the guide says to cancel it first."""
    ec2 = account.client("ec2")
    ec2.request_spot_instances(
        InstanceCount=1,
        Type="persistent",
        LaunchSpecification={"ImageId": "ami-12c6146b", "InstanceType": "trn1.2xlarge"},
    )
    (one,) = states()
    ec2.create_tags(Resources=[one], Tags=[{"Key": key, "Value": text} for key, text in tags(account, 1).items()])
    account.advance(2 * HOUR)
    if denied:
        account.inject("denied", "ec2.CancelSpotInstanceRequests")
    failed = sweep(account, regions=HERE, apply=True).failed
    assert ["UnauthorizedOperation" in verdict.error for verdict in failed] == ([True] if denied else [])
    assert states() == {one: "terminated"}
    ends = [r["operation"] for r in account.records() if r["operation"].startswith(("Cancel", "Terminate"))]
    assert ends == ["CancelSpotInstanceRequests", "TerminateInstances"]
    assert len(ec2.describe_spot_instance_requests()["SpotInstanceRequests"]) == (1 if denied else 0)
