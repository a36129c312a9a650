"""Tags belong to the owner: nobody tags another account's resource, or one that is not there.

moto takes the ARN of any account for its own, and remembers tags of instances and addresses that nobody has. Other
kinds it looks up; buckets' own calls need no check, since the server tells moto to keep accounts apart. Sources:
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateTags.html and
https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_FailureInfo.html
"""

from __future__ import annotations

import re
from typing import Any

from course_lib.finops.aws import account_of_arn
from course_lib.finops.cloud.instances import account_of, moto_instance
from course_lib.finops.cloud.wire import ApiCall, ApiError

ABOUT_TAGS = re.compile(r"(Tag|Untag)Resource|ListTagsForResource|AddTags|RemoveTags")
NAMES = ("resourceArn", "ResourceArn", "resourceARN", "ResourceARN", "Resource", "ARN")
# How a service says no, where it isn't AccessDeniedException.
DENIED = {"sns": "AuthorizationError"}
INSTANCE = re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})")
ADDRESS = "eipalloc-"
INSTANCE_ARN = re.compile(r"arn:[\w-]+:ec2:([\w-]+):\d{12}:instance/([\w-]+)")


def check_owner(call: ApiCall) -> None:
    """Refuse a call about the tags of another account's resource, in any service that names it by its ARN."""
    if not ABOUT_TAGS.fullmatch(call.operation):
        return
    named = next((str(call.parameters[name]) for name in NAMES if call.parameters.get(name)), "")
    if (owner := account_of_arn(named)) and owner not in (account_of(call), "aws"):
        raise ApiError(DENIED.get(call.service, "AccessDeniedException"), _words(call, named), 403)


def check_resources(account: Any, call: ApiCall) -> None:
    """Refuse CreateTags and DeleteTags for instances and addresses that this account does not have in this region."""
    if call.parameters.get("DryRun"):
        return
    asked = [str(one) for one in call.parameters.get("Resources", ())]
    missing = [one for one in asked if INSTANCE.fullmatch(one) and not _is_there(call, call.region, one)]
    if len(missing) == 1:
        raise ApiError("InvalidInstanceID.NotFound", f"The instance ID '{missing[0]}' does not exist")
    if missing:
        raise ApiError("InvalidInstanceID.NotFound", f"The instance IDs '{', '.join(missing)}' do not exist")
    for one in asked:
        if one.startswith(ADDRESS) and one not in _addresses(call):
            raise ApiError("InvalidAllocationID.NotFound", f"The allocation ID '{one}' does not exist")


def tag_by_arn(account: Any, call: ApiCall) -> dict[str, Any] | None:
    """Answer TagResources and UntagResources: what can't be tagged is named in the answer, and the others are."""
    from moto.resourcegroupstaggingapi.models import resourcegroupstaggingapi_backends

    arns = [str(one) for one in call.parameters["ResourceARNList"]]
    failed = {arn: reason for arn in arns if (reason := _reason(call, arn))}
    if not failed:
        return None
    backend = resourcegroupstaggingapi_backends[account_of(call)][call.region]
    rest = [arn for arn in arns if arn not in failed]
    if call.operation == "TagResources":
        failed |= backend.tag_resources(rest, call.parameters["Tags"])
    else:
        failed |= backend.untag_resources(rest, call.parameters["TagKeys"])
    return {"FailedResourcesMap": failed}


def _reason(call: ApiCall, arn: str) -> dict[str, Any]:
    """Why a resource can't be tagged; empty if it can."""
    owner = account_of_arn(arn) or _bucket_owner(arn)
    if owner is None:
        return {"StatusCode": 400, "ErrorCode": "InvalidParameterException", "ErrorMessage": f"{arn} is not an ARN."}
    if owner not in ("", account_of(call)):
        return {"StatusCode": 403, "ErrorCode": "AccessDeniedException", "ErrorMessage": _words(call, arn)}
    if (found := INSTANCE_ARN.fullmatch(arn)) and not _is_there(call, found[1], found[2]):
        said = f"The instance ID '{found[2]}' does not exist"
        return {"StatusCode": 400, "ErrorCode": "InvalidInstanceID.NotFound", "ErrorMessage": said}
    return {}


def _is_there(call: ApiCall, region: str, instance: str) -> bool:
    return moto_instance(account_of(call), region, instance) is not None


def _bucket_owner(arn: str) -> str | None:
    """Whose bucket an ARN names, which doesn't say it; "" where there is no such bucket, None for what is no ARN."""
    from moto.s3.models import s3_backends

    if account_of_arn(arn) is None:
        return None
    _, owner = s3_backends.bucket_accounts.get(arn.removeprefix("arn:aws:s3:::"), ("", ""))
    return owner


def _addresses(call: ApiCall) -> set[str]:
    from moto.ec2.models import ec2_backends

    found = ec2_backends[account_of(call)][call.region].addresses
    return {one.allocation_id for one in found if one.allocation_id}


def _words(call: ApiCall, arn: str) -> str:
    return f"The caller's account {account_of(call)} is not authorized to perform {call.name} on resource: {arn}"
