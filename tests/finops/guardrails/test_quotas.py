"""Whether a launch fits. Oracles: AWS's table of quotas, and RunInstances itself, which refuses what doesn't.

The codes are those of https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html.
"""

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from course_lib.finops.aws import AwsError
from course_lib.finops.guardrails import (
    GuardrailError,
    Guardrails,
    PlannedLaunch,
    apply_guardrails,
    check_quota,
    plan_guardrails,
    quota_line,
    quota_of_type,
)

TRN = "L-2C3B7624"
PUBLISHED = {
    "trn1.2xlarge": (TRN, "L-6B0D517C"),
    "trn2u.48xlarge": (TRN, "L-6B0D517C"),
    "inf2.48xlarge": ("L-1945791B", "L-B5D1601B"),
    "p4de.24xlarge": ("L-417A185B", "L-7212CCBC"),
    "p5en.48xlarge": ("L-417A185B", "L-C4BD4855"),
    "p6-b200.48xlarge": ("L-417A185B", None),
    "g6e.xlarge": ("L-DB2E81BA", "L-3819A6DF"),
    "gr6.4xlarge": ("L-DB2E81BA", "L-3819A6DF"),
    "vt1.3xlarge": ("L-DB2E81BA", "L-3819A6DF"),
    "dl1.24xlarge": ("L-6E869C2A", "L-85EED4F7"),
    "f2.6xlarge": ("L-74FC7D96", "L-88CF9481"),
    "x2gd.metal": ("L-7295265B", "L-E3A00192"),
    "hpc7a.96xlarge": ("L-F7808C92", None),
    "u7i-12tb.224xlarge": ("L-43DA4232", None),
    "m7i-flex.large": ("L-1216C47A", "L-34B43A08"),
    "im4gn.large": ("L-1216C47A", "L-34B43A08"),
    "d3en.xlarge": ("L-1216C47A", "L-34B43A08"),
    "mac2.metal": (None, None),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_type_is_counted_by_the_published_quota(name):
    found = tuple(quota.code if (quota := quota_of_type(name, how)) else None for how in ("on_demand", "spot"))
    assert found == PUBLISHED[name]


@pytest.fixture
def run(account):
    def run(count=1, **options):
        given = {"ImageId": "ami-12c6146b", "InstanceType": "trn1.2xlarge", "MinCount": count, "MaxCount": count}
        return account.client("ec2").run_instances(**{**given, **options})

    return run


@pytest.mark.parametrize("there", [0, 1, 3])
def test_the_check_agrees_with_what_run_instances_does(account, run, there):
    account.set_quota(TRN, 32)
    if there:
        run(there)
    stopped = run()["Instances"][0]["InstanceId"]
    account.client("ec2").stop_instances(InstanceIds=[stopped])  # what is stopped does not count
    run(InstanceType="inf2.xlarge")  # counted elsewhere
    run(InstanceMarketOptions={"MarketType": "spot"})  # and so is this
    for count in range(4, 0, -1):
        check = check_quota(account, PlannedLaunch("trn1.2xlarge", count, "us-east-1"))
        assert (check.in_use, check.needed, check.limit) == (8 * there, 8 * count, 32)
        assert check.short == max(8 * (there + count) - 32, 0)
        if not check.fits:
            with pytest.raises(ClientError, match="VcpuLimitExceeded"):
                run(count)
    assert check.fits
    run()


def test_what_is_lacking_is_asked_for_once_and_waited_for(account):
    account.set_quota(TRN, 0)
    wanted = Guardrails(("us-east-1",), ("trn1.*",), launches=(PlannedLaunch("trn1.32xlarge", 2, "us-east-1"),))

    def line():
        return next(line for line in plan_guardrails(account, wanted).lines if line.kind == "quota")

    assert (line().change, line().name) == ("update", f"{TRN} in us-east-1")
    assert "lacks 256: 256 vCPUs beside 0 that run, of 0" in line().why
    apply_guardrails(plan_guardrails(account, wanted))
    assert line().change == "nothing"
    assert "256 are asked for already, wait for the answer" in line().why
    larger = PlannedLaunch("trn1.32xlarge", 3, "us-east-1")
    other = plan_guardrails(account, Guardrails(("us-east-1",), ("trn1.*",), launches=(larger,)))
    assert [line.why.rpartition("; ")[2] for line in other.drifts] == [
        "an open request asks for 256 only: one at a time"
    ]
    account.advance(timedelta(days=2))
    assert (line().change, "fits" in line().why) == ("nothing", True)
    asked = account.client("service-quotas").list_requested_service_quota_change_history(ServiceCode="ec2")
    assert len(asked["RequestedQuotas"]) == 1


def test_launches_in_one_quota_count_together_and_are_asked_for_once(account):
    """Oracle: Service Quotas takes one open request for a quota, and EC2 counts all vCPUs that run: 8 and 128."""
    launches = tuple(PlannedLaunch(name, 1, "us-east-1") for name in ("trn1.2xlarge", "trn1.32xlarge"))
    elsewhere = PlannedLaunch("trn1.2xlarge", 1, "eu-west-1")
    wanted = Guardrails(("us-east-1",), ("trn1.*",), launches=(*launches, elsewhere))
    account.set_quota(TRN, 128)
    assert apply_guardrails(plan_guardrails(account, wanted)).failed is None
    asked = account.client("service-quotas").list_requested_service_quota_change_history(ServiceCode="ec2")
    assert [one["DesiredValue"] for one in asked["RequestedQuotas"]] == [136.0]
    assert plan_guardrails(account, wanted).changes == []
    account.set_quota(TRN, 136)
    said = [line.why for line in plan_guardrails(account, wanted).lines if line.kind == "quota"]
    assert ["fits" in why for why in said] == [True, True, True]
    assert "beside 0 that run and 8 of other planned launches" in said[1]


def test_a_request_that_was_answered_is_not_waited_for(account):
    """Oracle: Service Quotas' states: only PENDING and CASE_OPENED wait for an answer."""
    launch = PlannedLaunch("trn1.32xlarge", 1, "us-east-1")
    wanted = Guardrails(("us-east-1",), ("trn1.*",), launches=(launch,))
    account.set_quota(TRN, 0)
    apply_guardrails(plan_guardrails(account, wanted))
    account.advance(timedelta(days=2))  # it is granted
    check = check_quota(account, PlannedLaunch("trn1.32xlarge", 2, "us-east-1"))
    assert (check.limit, check.short, check.asked) == (128, 128, None)
    assert quota_line(account, check).change == "update"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("trn1", 1, "us-east-1"), "instance_type='trn1' is no instance type"),
        ((1, 1, "us-east-1"), "instance_type=1 is no text"),
        (("trn1.2xlarge", 0, "us-east-1"), "count=0 must be a whole number of at least 1"),
        (("trn1.2xlarge", 1, "us-east-1", "reserved"), "purchase='reserved' must be 'on_demand' or 'spot'"),
    ],
)
def test_what_is_no_launch_is_refused(given, said):
    with pytest.raises(GuardrailError, match=said):
        PlannedLaunch(*given)


def test_where_nobody_published_a_quota_it_says_so(account):
    with pytest.raises(GuardrailError, match=r"'p6-b200.48xlarge' has no published spot quota"):
        check_quota(account, PlannedLaunch("p6-b200.48xlarge", 1, "us-east-1", "spot"))
    with pytest.raises(AwsError, match=r"looking up trn9.huge in us-east-1: InvalidInstanceType"):
        check_quota(account, PlannedLaunch("trn9.huge", 1, "us-east-1"))
    account.inject("denied", "service-quotas.GetServiceQuota")
    with pytest.raises(AwsError, match=rf"reading the quota {TRN} in us-east-1: AccessDenied.*Remedy"):
        check_quota(account, PlannedLaunch("trn1.2xlarge", 1, "us-east-1"))
