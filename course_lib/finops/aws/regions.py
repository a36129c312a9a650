"""The regions in which an account can have something, and refusing one that is none before anything is asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from course_lib.finops.aws.accounts import Clients
from course_lib.finops.aws.failures import one_line
from course_lib.finops.errors import FinopsError


def usable_regions(account: Clients) -> list[str]:
    """The regions that are enabled for the account, in alphabetical order.

    Raises:
        AwsError: when AWS can't be asked.
    """
    with one_line("listing the account's regions"):
        told = account.client("ec2").describe_regions(AllRegions=False)
    return sorted(region["RegionName"] for region in told["Regions"])


def check_regions(account: Clients, regions: Sequence[str], *, asked_there: bool = True) -> None:
    """Refuse a region that AWS does not have, or that is not enabled for the account.

    A region that is none has nobody to answer, and boto3 would try for long.

    Args:
        account: real or practice; it needs ec2:DescribeRegions.
        regions: codes such as "us-east-1".
        asked_there: whether a question goes to the region itself, which must then be enabled for the account.

    Raises:
        FinopsError: naming the region, those that there are, and the nearest.
        AwsError: when they can't be listed.

    Source: "DescribeRegions", Amazon EC2 API Reference.
    """
    with one_line("listing AWS's regions"):
        # us-east-1 is always enabled; the default region may be the very name that is wrong
        told = account.client("ec2", region="us-east-1").describe_regions(AllRegions=True)["Regions"]
    known = {one["RegionName"]: one.get("OptInStatus", "") for one in told}
    for region in regions:
        if region not in known:
            near = " or ".join(get_close_matches(region, known))
            remedy = f"did you mean {near}" if near else "name one of them"
            raise FinopsError.of("region", region, f"is none of {', '.join(sorted(known))}", remedy)
        if asked_there and known[region] == "not-opted-in":
            remedy = "enable it in the account's settings, or name another"
            raise FinopsError.of("region", region, "is not enabled for this account", remedy)
