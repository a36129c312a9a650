"""What EC2 refuses of a launch before it looks at capacity: a type, an image or an instance profile that is none.

moto takes any word for a type or an image. Source of the codes:
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from course_lib.finops.cloud import quotas
from course_lib.finops.cloud.instances import account_of, check_type
from course_lib.finops.cloud.wire import ApiCall, ApiError

# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html: 8 hexadecimal digits, or since 2016 17
IMAGE = re.compile(r"ami-(?:[0-9a-f]{17}|[0-9a-f]{8})")
BY_PARAMETER = "resolve:ssm:"  # EC2 looks the image up in Parameter Store
PUBLIC = ("ec2/resources/latest_amis", "ec2/resources/ecs/optimized_amis", "ssm/resources/ami-amazon-linux-latest")


def check_launch(account: Any, call: ApiCall) -> None:
    """Refuse a launch of what is not there, and one above the quota."""
    check_type(account, call)
    _check_image(call)
    _check_profile(call)
    quotas.check_run(account, call)


def _check_image(call: ApiCall) -> None:
    from moto.ec2.models import ec2_backends

    asked = str(call.parameters.get("ImageId") or "")
    if asked.startswith(BY_PARAMETER) or (not asked and call.parameters.get("LaunchTemplate")):
        return
    if not asked:
        raise ApiError("MissingParameter", "The request must contain the parameter ImageId")
    if not IMAGE.fullmatch(asked):
        raise ApiError("InvalidAMIID.Malformed", f'Invalid id: "{asked}" (expecting "ami-...")')
    if asked not in ec2_backends[account_of(call)][call.region].amis and asked not in public_images(call.region):
        raise ApiError("InvalidAMIID.NotFound", f"The image id '[{asked}]' does not exist")


@cache
def public_images(region: str) -> frozenset[str]:
    """The public images of a region that moto has heard of; DescribeImages lists them only where moto loads them."""
    from moto.ec2.models.amis import AMIS
    from moto.utilities.utils import load_resource

    found = {str(one["ami_id"]) for one in AMIS}
    for folder in PUBLIC:
        try:
            found |= set(IMAGE.findall(json.dumps(load_resource(f"{folder}/{region}.json"))))
        except FileNotFoundError:  # a region that moto has no such list of
            continue
    return frozenset(found)


def _check_profile(call: ApiCall) -> None:
    from moto.iam.models import iam_backends

    asked = call.parameters.get("IamInstanceProfile") or {}
    known = [one for backend in iam_backends[account_of(call)].values() for one in backend.get_instance_profiles()]
    for key, word, is_one in (
        ("Arn", "ARN", any(one.arn == asked.get("Arn") for one in known)),
        ("Name", "name", any(one.name == asked.get("Name") for one in known)),
    ):
        if asked.get(key) and not is_one:
            what = f"Value ({asked[key]}) for parameter iamInstanceProfile.{key.lower()} is invalid."
            raise ApiError("InvalidParameterValue", f"{what} Invalid IAM Instance Profile {word}")
