"""Arguments of the boundary and of the organisation's policies. Oracle: least privilege, and AWS's limits of size."""

import pytest

from course_lib.finops.iam import (
    Kind,
    PolicyError,
    PolicyTooLargeError,
    permission_boundary,
    protect_guardrails_scp,
    stay_in_regions_scp,
    tagged_launches_scp,
)

ACCOUNT, REGION = "111122223333", "us-east-1"
REAPER = f"arn:aws:iam::{ACCOUNT}:role/guardrail-reaper"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: permission_boundary(ACCOUNT, [REGION], ["trn1.*"], pass_roles=[REAPER]), "names a guardrail's role"),
        (lambda: permission_boundary(ACCOUNT, [REGION], ["trn1.*"], guard_prefix="*"), "3 to 64 letters"),
        (lambda: permission_boundary(ACCOUNT, [REGION], ["trn1.*"], services=["*"]), "can't be read"),
        (lambda: permission_boundary(ACCOUNT, [REGION], ["trn1.*"], required_tags=[]), "at least 1"),
        (lambda: protect_guardrails_scp([]), "at least one role"),
        (lambda: protect_guardrails_scp(["*"]), "can't be read"),
        (lambda: stay_in_regions_scp([]), "at least 1"),
        (lambda: tagged_launches_scp(["owner", "Owner"]), "differ only in case"),
    ],
)
def test_arguments_that_would_open_a_guardrail_are_refused(make, message):
    with pytest.raises(PolicyError, match=message):
        make()


def test_a_service_control_policy_has_a_limit_of_its_own():
    """Oracle: page orgs_reference_limits: 5,120 characters."""
    with pytest.raises(PolicyTooLargeError, match="over the limit of 5120 for a service control policy"):
        tagged_launches_scp([f"tag-{number}" for number in range(20)])
    assert Kind.SCP.value == "service control policy"
