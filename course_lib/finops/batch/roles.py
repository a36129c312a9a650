"""The roles that a fleet names, looked up before anything is made; the instances' standard role is made if need be.

Batch makes its own service-linked role, AWSServiceRoleForBatch, when an environment names no service role. The role of
the instances it does not make: the console does, under the name ecsInstanceRole. Sources:
https://docs.aws.amazon.com/batch/latest/userguide/using-service-linked-roles-batch-general.html and
https://docs.aws.amazon.com/batch/latest/userguide/instance_IAM_role.html
"""

from __future__ import annotations

import json
from typing import Any

from course_lib.finops.aws import AwsError, Clients, one_line
from course_lib.finops.batch.errors import BatchError
from course_lib.finops.batch.fleet import Fleet
from course_lib.finops.ephemeral import Lease

STANDARD = "ecsInstanceRole"
POLICY = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"  # what the ECS agent needs
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
DENIED = ("AccessDenied", "AccessDeniedException")
MISSING = ("NoSuchEntity", "ValidationError", "InvalidInput")


def profile_is_missing(account: Clients, fleet: Fleet) -> bool:
    """Whether the standard instance profile has to be made; refuses roles that are not there.

    Who may not look into IAM can still name a role: then Batch judges it.

    Raises:
        BatchError: for another instance profile, or a role, that is not there; says how to find one.
        AwsError: if IAM can't be asked.
    """
    iam = account.client("iam")
    for field, given in (("service_role", fleet.service_role), ("spot_fleet_role", fleet.spot_fleet_role)):
        if given and _look(lambda name: iam.get_role(RoleName=name)["Role"], given) is None:
            remedy = "write the ARN that `aws iam list-roles` shows, or leave it out"
            raise BatchError.of(field, given, "is no role of this account", remedy)
    given = fleet.instance_role
    found = _look(lambda name: iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"], given)
    if given == STANDARD:
        return found is None or found.get("Roles") == []  # an interrupted setup leaves a profile without its role
    if found is None:
        remedy = f"write one that `aws iam list-instance-profiles` shows, or {STANDARD}, which is made if it is missing"
        raise BatchError.of("instance_role", given, "is no instance profile of this account", remedy)
    return False


def make_profile(account: Clients, lease: Lease) -> None:
    """Make the standard role and its instance profile, or what is missing of them.

    They are tagged with owner and project, and outlive the lease: they cost nothing, and every fleet shares them.

    Raises:
        AwsError: if IAM refuses; doing it again goes on from there.
    """
    iam = account.client("iam")
    tags = [{"Key": key, "Value": value} for key, value in lease.tags().items() if key in ("owner", "project")]
    trust = json.dumps(TRUST)
    with one_line(f"making the instance profile {STANDARD}"):
        _unless_there(iam, iam.create_role, RoleName=STANDARD, AssumeRolePolicyDocument=trust, Tags=tags)
        iam.attach_role_policy(RoleName=STANDARD, PolicyArn=POLICY)
        _unless_there(iam, iam.create_instance_profile, InstanceProfileName=STANDARD, Tags=tags)
        iam.add_role_to_instance_profile(InstanceProfileName=STANDARD, RoleName=STANDARD)
        iam.get_waiter("instance_profile_exists").wait(InstanceProfileName=STANDARD)  # IAM tells the rest of AWS later


def _unless_there(iam: Any, create: Any, **asked: Any) -> None:
    try:
        create(**asked)
    except iam.exceptions.EntityAlreadyExistsException:
        return


def _look(look: Any, given: str) -> dict[str, Any] | None:
    """What a name or an ARN names; None if it is not there, {} if this caller may not look."""
    if "..." in given:
        return None
    try:
        with one_line(f"looking for {given}"):
            found: dict[str, Any] = look(given.rpartition("/")[2])
    except AwsError as error:
        if error.code in MISSING:
            return None
        if error.code in DENIED:
            return {}
        raise
    return found if not given.startswith("arn:") or found["Arn"] == given else None
