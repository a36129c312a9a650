"""A sweep of 10,000 instances in 15 regions, against plain boto3 paginators over the same pages, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from benchmarks.ratio import Ratio, compare
from course_lib.finops.aws import usable_regions
from course_lib.finops.cloud import PracticeAccount
from course_lib.finops.ephemeral import Sweep, sweep

INSTANCES, REGIONS = 10_000, 15
LIMIT = 60.0  # seconds
START = datetime(2026, 12, 1, 8, tzinfo=UTC)
ALIVE = [{"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]


@contextmanager
def crowded() -> Iterator[tuple[PracticeAccount, list[str]]]:
    """An account with that many instances, a quarter of whose leases have ended, and the regions that hold them."""
    account = PracticeAccount(start=START)
    with account:
        regions = usable_regions(account)[:REGIONS]
        for number, region in enumerate(regions):
            here = INSTANCES // REGIONS + (number < INSTANCES % REGIONS)
            for quarter in range(4):
                count = here // 4 + (quarter < here % 4)
                end = START + timedelta(hours=1 if quarter == 0 else 100)
                tags = {"owner": "ada", "project": "bert", "expires-at": end.isoformat()}
                account.client("ec2", region=region).run_instances(
                    ImageId="ami-12c6146b",
                    InstanceType="trn1.2xlarge",
                    MinCount=count,
                    MaxCount=count,
                    TagSpecifications=[
                        {"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
                    ],
                )
        account.advance(timedelta(hours=2))
        yield account, regions


def measure() -> list[Ratio]:
    """The figures of the FinOps step: under 60 s, and calls within 10 % of the pages; the peer only lists."""
    with crowded() as (account, regions):

        def ours() -> Sweep:
            return sweep(account, regions=regions, at_most=None)

        def theirs() -> int:
            number = 0
            for region in regions:
                paginator = account.client("ec2", region=region).get_paginator("describe_instances")
                for page in paginator.paginate(Filters=ALIVE, PaginationConfig={"PageSize": 1000}):
                    number += sum(len(one["Instances"]) for one in page["Reservations"])
            return number

        account.calls.clear()
        found, number = ours(), theirs()
        calls = len(account.calls)
        pages = sum(call.operation == "DescribeInstances" for call in account.calls) // 2
        if not len(found.verdicts) == number == INSTANCES or len(found.of("terminate")) != _quarter(regions):
            raise RuntimeError(f"the sweep saw {len(found.verdicts)} instances, the paginator {number}")
        what = f"dry sweep of {INSTANCES:,} instances in {REGIONS} regions"
        row = compare(what, ours, "boto3 paginators", theirs, runs=2)
        ours_alone = calls - pages  # the paginators made one call a page
        return [
            row,
            Ratio(what, "60 s", row.our_seconds, LIMIT, row.our_seconds / LIMIT),
            Ratio("API calls of that sweep (a number)", "its pages", ours_alone, pages, ours_alone / pages),
        ]


def _quarter(regions: list[str]) -> int:
    """How many leases have ended."""
    return sum(-(-(INSTANCES // REGIONS + (number < INSTANCES % REGIONS)) // 4) for number in range(len(regions)))
