"""Ending instances one for one: a bad one among a thousand costs the others nothing.

TerminateInstances and StopInstances are all or nothing: one id that is gone or protected fails the whole call. So a
batch that AWS refuses because of a member is halved until the member stands alone. Source:
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html
"""

from __future__ import annotations

from typing import Any, Literal

from course_lib.finops.aws import AwsError, one_line

BATCH = 1000  # what the API's reference asks not to exceed
GONE = "InvalidInstanceID.NotFound"
# Errors that speak of a member of the batch, not of the caller or the service. A policy may allow this caller all of
# them but one, by its tags, and EC2 then denies the whole call.
ABOUT_A_MEMBER = {
    GONE,
    "InvalidInstanceID.Malformed",
    "OperationNotPermitted",
    "IncorrectInstanceState",
    "UnsupportedOperation",
    "InvalidParameterCombination",
    "UnauthorizedOperation",
}

How = Literal["terminate", "stop"]


def end_instances(ec2: Any, instances: list[str], how: How) -> dict[str, AwsError | None]:
    """Terminate or stop instances; says for each what came of it: None when it is done, or was gone already.

    Args:
        ec2: a boto3 client of the instances' region.
        instances: their ids.
        how: "terminate" or "stop".
    """
    results: dict[str, AwsError | None] = {}
    for first in range(0, len(instances), BATCH):
        results |= _end(ec2, instances[first : first + BATCH], how)
    return results


def _end(ec2: Any, batch: list[str], how: How) -> dict[str, AwsError | None]:
    call = ec2.terminate_instances if how == "terminate" else ec2.stop_instances
    some = batch[0] if len(batch) == 1 else f"{len(batch)} instances, {batch[0]} first"
    try:
        with one_line(f"to {how} {some} in {ec2.meta.region_name}"):
            call(InstanceIds=batch)
    except AwsError as error:
        if error.code not in ABOUT_A_MEMBER:
            return dict.fromkeys(batch, error)
        if len(batch) == 1:
            return {batch[0]: None if error.code == GONE else error}
        middle = len(batch) // 2
        return _end(ec2, batch[:middle], how) | _end(ec2, batch[middle:], how)
    return dict.fromkeys(batch, None)
