"""A stage for code that works on an account: always the same evening, however often it is played.

A test of such code needs an account that is empty, at a known time, with nothing left of what was tried before. A new
server would be that, and takes seconds; here one server goes with the process and is emptied and set back instead.
Whoever judges looks through clients of their own: what the code under test did to its clients (a hook that answers in
AWS's place) changes nothing for them.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from course_lib.finops.aws import KeptClients
from course_lib.finops.cloud.practice import PracticeAccount
from course_lib.runtime import private_session

IMAGE = "ami-12c6146b"  # one that moto knows


class Clients:
    """What code under test gets: boto3 clients, as a real account hands them out, and no back door."""

    def __init__(self, running: PracticeAccount) -> None:
        self.client = _twin(running).client


@dataclass(frozen=True)
class Rehearsal:
    """An account to try something on.

    Attributes:
        aws: for the code under test.
        account: for whoever sets the stage and judges: clock, faults, ledger and clients of its own.
        start: the time at which it began.
    """

    aws: Clients
    account: PracticeAccount
    start: datetime

    def again(self, start: datetime | None = None) -> None:
        """Empty the stage, mend all faults, and set the clock back to `start` (its own when left out)."""
        self.account.heal()
        self.account.reset(start or self.start)

    def furnish(
        self, region: str, kind: str, tags: dict[str, str] | None = None, count: int = 1, **options: Any
    ) -> list[str]:
        """Launch instances with one call of boto3, and say their ids.

        Args:
            region: where.
            kind: the instance type.
            tags: of the instances; none when left out.
            count: how many.
            options: more parameters of RunInstances.
        """
        given = [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
        if given:
            options["TagSpecifications"] = [{"ResourceType": "instance", "Tags": given}]
        ec2 = self.account.client("ec2", region=region)
        told = ec2.run_instances(ImageId=IMAGE, InstanceType=kind, MinCount=count, MaxCount=count, **options)
        return [one["InstanceId"] for one in told["Instances"]]

    def instances(self, region: str) -> dict[str, dict[str, Any]]:
        """Every instance of a region, the terminated ones too, as DescribeInstances tells of it, by id."""
        pages = self.account.client("ec2", region=region).get_paginator("describe_instances").paginate()
        found = (one for page in pages for reservation in page["Reservations"] for one in reservation["Instances"])
        return {one["InstanceId"]: one for one in found}

    def states(self, *regions: str) -> dict[str, str]:
        """Every instance's state, by id."""
        return {name: one["State"]["Name"] for region in regions for name, one in self.instances(region).items()}

    def turn(self, until: datetime) -> None:
        """Turn the clock to a later time; what is due on the way happens."""
        self.account.advance(max(until - self.account.now(), timedelta()))

    def calls(self, *operations: str) -> list[dict[str, Any]]:
        """The ledger's calls from outside, oldest first; those of some operations only, where they are named."""
        wanted = [record for record in self.account.records() if record["actor"] == "caller"]
        return [record for record in wanted if not operations or record["operation"] in operations]


_KEPT: dict[str, Any] = {}


def rehearse(start: datetime) -> Rehearsal:
    """This process's stage, emptied, with its clock at `start`; the first call takes a second or two.

    Raises:
        FinopsError: for a start without time zone.
        RuntimeError: if the account can't be started.
    """
    running = _KEPT.get("running")
    if type(running) is not PracticeAccount:
        running = _KEPT["running"] = PracticeAccount()
        _KEPT["clients"] = Clients(running)
    stage = Rehearsal(_KEPT["clients"], _twin(running), start)
    stage.again()
    return stage


def end_rehearsals() -> None:
    """End this process's stage; the next rehearsal builds another."""
    if running := _KEPT.pop("running", None):
        running.close()


def _twin(running: PracticeAccount) -> PracticeAccount:
    """The same account through new clients."""
    twin = copy.copy(running)
    session = private_session()
    # Descriptions of services take long to read, and nobody's hooks are in them.
    session._session.register_component("data_loader", running._session._session.get_component("data_loader"))
    vars(twin)["_session"] = session
    twin.calls, twin._kept = [], KeptClients()
    return twin
