"""All pages of an answer."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from course_lib.finops.aws.accounts import Clients
from course_lib.finops.aws.failures import one_line

ALIVE = [{"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]
PAGE = 1000  # the most that EC2's Describe calls return at once
VALUES = 200  # the most that one of their filters takes


def pages(client: Any, operation: str, doing: str, **asked: Any) -> Iterator[dict[str, Any]]:
    """Each page of a paginated call, as few as the service allows.

    Args:
        client: a boto3 client.
        operation: boto3's method, such as "describe_instances".
        doing: for the error's first words.
        asked: the call's parameters.

    Raises:
        AwsError: when a page fails.
    """
    with one_line(doing):
        paginator = client.get_paginator(operation)
        config = {"PageSize": PAGE} if client.meta.service_model.service_name == "ec2" else {}
        yield from paginator.paginate(PaginationConfig=config, **asked)


def living_instances(account: Clients, region: str, among: Collection[str] | None = None) -> Iterator[dict[str, Any]]:
    """Every instance of a region that is not terminated, as DescribeInstances tells of it.

    Args:
        account: whose.
        region: where.
        among: only these instances; unlike InstanceIds, a filter does not mind those that are gone.

    Raises:
        AwsError: if they can't be listed.
    """
    ec2 = account.client("ec2", region=region)
    wanted = sorted(among or ())
    parts = [wanted[first : first + VALUES] for first in range(0, len(wanted), VALUES)]
    for filters in [ALIVE] if among is None else [[*ALIVE, {"Name": "instance-id", "Values": part}] for part in parts]:
        for page in pages(ec2, "describe_instances", f"listing instances in {region}", Filters=filters):
            for reservation in page["Reservations"]:
                yield from reservation["Instances"]
