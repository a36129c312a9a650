"""Service Quotas in the practice account. Oracles: AWS's table of EC2's quotas, and EC2's documented rules."""

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

HOUR = timedelta(hours=1)
TRN, TRN_SPOT, STANDARD = "L-2C3B7624", "L-6B0D517C", "L-1216C47A"


@pytest.fixture
def quotas(account):
    return account.client("service-quotas")


def value(quotas, code=TRN):
    return quotas.get_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]["Value"]


def test_the_names_and_defaults_are_those_of_aws(quotas):
    pages = quotas.get_paginator("list_aws_default_service_quotas").paginate(
        ServiceCode="ec2", PaginationConfig={"PageSize": 7}
    )
    told = {one["QuotaCode"]: (one["QuotaName"], one["Value"]) for page in pages for one in page["Quotas"]}
    assert told[TRN] == ("Running On-Demand Trn instances", 0.0)
    assert told["L-417A185B"] == ("Running On-Demand P instances", 0.0)
    assert told["L-C4BD4855"] == ("All P5 Spot Instance Requests", 0.0)
    assert told[STANDARD] == ("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 5.0)
    assert len(told) == 19
    listed = quotas.list_service_quotas(ServiceCode="ec2")["Quotas"]
    assert {one["QuotaCode"] for one in listed} == set(told)
    assert value(quotas) > 1e5  # what the account starts with stands in nobody's way


def test_a_launch_above_the_quota_is_refused_and_one_at_it_is_not(account, launch):
    account.set_quota(TRN, 24)
    launch(MinCount=3, MaxCount=3)  # 3 x 8 vCPUs
    with pytest.raises(ClientError, match=r"VcpuLimitExceeded.*limit of 24 allows"):
        launch()
    assert launch(InstanceType="inf2.xlarge")  # another bucket
    assert account.client("ec2", region="eu-west-1").run_instances(
        ImageId="ami-12c6146b", InstanceType="trn1.2xlarge", MinCount=1, MaxCount=1
    )["Instances"]  # another region


def test_what_is_stopped_or_gone_does_not_count_and_a_start_does(account, ec2, launch):
    account.set_quota(TRN, 8)
    first = launch()
    ec2.stop_instances(InstanceIds=[first])
    second = launch()
    with pytest.raises(ClientError, match="VcpuLimitExceeded"):
        ec2.start_instances(InstanceIds=[first])
    ec2.terminate_instances(InstanceIds=[second])
    ec2.start_instances(InstanceIds=[first])
    ec2.start_instances(InstanceIds=[first])  # it runs already, and needs nothing more


def test_spot_has_a_quota_of_its_own(account, launch):
    account.set_quota(TRN_SPOT, 0)
    with pytest.raises(ClientError, match="MaxSpotInstanceCountExceeded"):
        launch(InstanceMarketOptions={"MarketType": "spot"})
    launch()


def test_a_dry_run_asks_for_permission_only(account, launch):
    account.set_quota(TRN, 0)
    with pytest.raises(ClientError, match="DryRunOperation"):
        launch(DryRun=True)


def test_an_increase_is_granted_later_and_only_one_may_be_open(account, quotas, launch):
    account.set_quota(TRN, 0)
    asked = {"ServiceCode": "ec2", "QuotaCode": TRN}
    made = quotas.request_service_quota_increase(**asked, DesiredValue=16)["RequestedQuota"]
    assert (made["Status"], made["Created"]) == ("PENDING", account.now())
    with pytest.raises(ClientError, match="VcpuLimitExceeded"):
        launch()
    with pytest.raises(ClientError, match="ResourceAlreadyExistsException"):
        quotas.request_service_quota_increase(**asked, DesiredValue=32)
    account.advance(25 * HOUR)
    assert value(quotas) == 16
    launch(MinCount=2, MaxCount=2)
    told = quotas.list_requested_service_quota_change_history(ServiceCode="ec2")["RequestedQuotas"]
    assert [(one["Id"], one["Status"], one["DesiredValue"]) for one in told] == [(made["Id"], "APPROVED", 16)]
    with pytest.raises(ClientError, match="IllegalArgumentException"):
        quotas.request_service_quota_increase(**asked, DesiredValue=16)


def test_what_is_no_quota_is_refused(account, quotas):
    with pytest.raises(ClientError, match="NoSuchResourceException"):
        value(quotas, "L-00000000")
    with pytest.raises(ClientError, match="InvalidPaginationTokenException"):
        quotas.list_service_quotas(ServiceCode="ec2", NextToken="x")
    with pytest.raises(ValueError, match="code='L-0' is no vCPU quota of EC2"):
        account.set_quota("L-0", 1)
    with pytest.raises(ValueError, match=r"vcpus=-1.0 must be a finite number, 0 or more"):
        account.set_quota(TRN, -1)
    vpc = quotas.get_service_quota(ServiceCode="vpc", QuotaCode="L-F678F1CE")  # moto's own answer
    assert vpc["Quota"]["QuotaName"] == "VPCs per Region"
