"""AWS's own policies, such as AmazonS3ReadOnlyAccess, which every account can attach; moto leaves them out.

moto has their texts but loads all of them or none, and all of them would fill each list of policies. Here one is loaded
when somebody attaches it. Source: https://docs.aws.amazon.com/aws-managed-policy/latest/reference/about-managed-policy-reference.html
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from course_lib.finops.cloud.instances import account_of
from course_lib.finops.cloud.wire import ApiCall

OWN = ":iam::aws:policy/"


def load_policy(account: Any, call: ApiCall) -> None:
    """Before a policy is attached: let moto know it, if it is AWS's; a name that is none stays unknown."""
    from moto.iam.models import AWSManagedPolicy, iam_backends

    arn = str(call.parameters.get("PolicyArn", ""))
    owner = account_of(call)
    backend = iam_backends[owner]["aws"]
    told = _texts().get(arn.rpartition("/")[2]) if OWN in arn else None
    if told is None or arn in backend.managed_policies:
        return
    policy = AWSManagedPolicy.from_data(arn.rpartition("/")[2], owner, call.region, told)
    if policy.arn == arn:  # its path counts, too
        backend.managed_policies[arn] = policy
        backend.aws_managed_policies.append(policy)


@lru_cache(maxsize=1)
def _texts() -> dict[str, dict[str, Any]]:
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    return dict(json.loads(aws_managed_policies_data))
