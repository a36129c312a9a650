"""Launching an instance with its end built in: each layer assumes that the others fail.

0. No lease, no launch; and no launch whose price until the end of the lease is above the budget that is left.
1. The instance powers itself off at the end (`shutdown` in its user data), and powering off means terminating.
2. EventBridge Scheduler terminates it at the end, whatever goes on inside.
3. The reaper finds it by its tags.

Sources: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/terminating-instances.html and
https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from course_lib.catalog import CatalogError, instance
from course_lib.finops.aws import AwsError, Clients, check_own, one_line, tag_list, who_calls
from course_lib.finops.ephemeral.ending import end_instances
from course_lib.finops.ephemeral.lease import Lease
from course_lib.finops.ephemeral.schedule import GROUP, schedule_end
from course_lib.finops.errors import FinopsError

SHORTEST, LONGEST = timedelta(minutes=10), timedelta(days=14)
NEW = timedelta(minutes=1)  # AWS's servers tell times that differ a little
# Of user data, before it is encoded: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html
MOST_BYTES = 16 * 1024
ROLE = "arn:aws:iam::123456789012:role/ends-leases"  # such as the scheduler needs
SHELLS = ("#!/bin/sh", "#!/bin/bash", "#!/usr/bin/env bash", "#!/usr/bin/env sh")


class LaunchError(FinopsError):
    """A launch that is refused, or that failed; the message says whether something is left."""


@dataclass(frozen=True)
class LaunchRequest:
    """What to launch, for whom, until when.

    Attributes:
        instance_type: such as "trn1.2xlarge".
        region: where.
        image: an AMI's id.
        lease: who, for what, until when.
        budget_usd: what the launch may cost at most until the lease ends.
        scheduler_role: ARN of the role that lets the scheduler terminate instances.
        count: how many, all or none.
        purchase: "on_demand" or "spot".
        usd_per_hour: of one instance; the catalog's price when left out.
        script: a shell script to run at boot.
        subnet: a subnet's id; the default VPC's when left out.
        tags: more tags.
    """

    instance_type: str
    region: str
    image: str
    lease: Lease
    budget_usd: float
    scheduler_role: str
    count: int = 1
    purchase: Literal["on_demand", "spot"] = "on_demand"
    usd_per_hour: float | None = None
    script: str = ""
    subnet: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LaunchPlan:
    """What a launch will do, to be read before it does it.

    Attributes:
        request: what was asked for.
        now: AWS's time.
        usd_at_most: the price until the lease ends.
        run: the parameters of RunInstances.
    """

    request: LaunchRequest
    now: datetime
    usd_at_most: float
    run: dict[str, Any]

    def __str__(self) -> str:
        asked, end = self.request, self.request.lease.expires_at.astimezone(UTC)
        what = f"{asked.count} x {asked.instance_type} ({asked.purchase}) in {asked.region}"
        tags = ", ".join(f"{key}={value}" for key, value in asked.lease.tags().items())
        return "\n".join(
            (
                f"launch {what} for {asked.lease.owner}",
                f"until {end:%Y-%m-%d %H:%M} UTC: at most {self.usd_at_most:,.2f} USD of {asked.budget_usd:,.2f}",
                f"1. inside: {self.run['UserData'].splitlines()[1]}, which terminates",
                f"2. scheduler: TerminateInstances at {end:%H:%M:%S} UTC (group {GROUP})",
                f"3. reaper: by the tags {tags}",
            )
        )


@dataclass(frozen=True)
class Launched:
    """Instances that run, with their plan."""

    plan: LaunchPlan
    instances: tuple[str, ...]


def plan_launch(account: Clients, request: LaunchRequest, now: datetime | None = None) -> LaunchPlan:
    """Check a request, and say what a launch would do; changes nothing.

    With a time given nobody is asked, and so not whose account the scheduler's role must be in: `launch` asks.

    Raises:
        LaunchError: for a lease that is over, too short or too long, a price that nobody knows or that is above the
            budget, a script that is no shell script or too long, a count below 1, or no role of this account.
        AwsError: if AWS doesn't tell its time.
    """
    _check(request)
    if now is not None:
        return _plan(request, now, None)
    caller = who_calls(account)
    return _plan(request, caller.now, caller.account)


def _check(request: LaunchRequest) -> None:
    """What can be refused before anybody is asked."""
    LaunchError.check_count("count", request.count)
    LaunchError.check_positive("budget_usd", request.budget_usd)
    check_own("scheduler_role", request.scheduler_role, None, ROLE, LaunchError)


def _plan(request: LaunchRequest, now: datetime, account: str | None) -> LaunchPlan:
    check_own("scheduler_role", request.scheduler_role, account, ROLE, LaunchError)
    if now.tzinfo is None:
        raise LaunchError.of("now", now.isoformat(), "names no time zone", "add +00:00 for UTC")
    life = request.lease.expires_at - now
    if not SHORTEST <= life <= LONGEST:
        raise LaunchError.of(
            "expires_at",
            request.lease.expires_at.isoformat(),
            f"is {_hours(life)} after AWS's time; a lease has {_hours(SHORTEST)} to {_hours(LONGEST)}",
            "choose another end",
        )
    usd = _price(request) * request.count * life.total_seconds() / 3600
    if usd > request.budget_usd:
        raise LaunchError.of(
            "budget_usd",
            request.budget_usd,
            f"is less than the {usd:,.2f} USD of {request.count} x {request.instance_type} until the lease ends",
            "end it sooner, launch less, or ask for more budget",
        )
    return LaunchPlan(request, now, usd, _parameters(request))


def launch(account: Clients, request: LaunchRequest, now: datetime | None = None) -> Launched:
    """Launch what was asked for with all layers, or leave nothing behind.

    Asking again for the same thing (the same request, word for word) launches nothing new: the request's digest is the
    idempotency token.

    Raises:
        LaunchError: see `plan_launch`; or the scheduler could not be set, and new instances were terminated again.
        AwsError: if AWS refuses the launch; nothing runs.
    """
    _check(request)
    caller = who_calls(account)
    plan = _plan(request, now or caller.now, caller.account)
    ec2 = account.client("ec2", region=request.region)
    with one_line(f"launching {request.count} x {request.instance_type} in {request.region}"):
        told = ec2.run_instances(**plan.run)
    instances = tuple(found["InstanceId"] for found in told["Instances"])
    # Asked for again, what runs already is the answer: that is not this call's to take back.
    new = [found["InstanceId"] for found in told["Instances"] if found["LaunchTime"] > caller.now - NEW]
    try:
        for one in instances:
            schedule_end(account, one, request.region, request.lease.expires_at, request.scheduler_role)
    except AwsError as error:
        if not new:
            raise LaunchError(f"{error} Launched before, and left running: {', '.join(instances)}.") from error
        left = [str(problem) for problem in end_instances(ec2, new, "terminate").values() if problem]
        raise LaunchError(
            f"{error} Without a scheduled end the launch was taken back: "
            + (f"{', '.join(instances)} terminated." if not left else " ".join([*left, "Their own timer ends them."]))
        ) from error
    except BaseException:  # a Ctrl-C, say: an instance without its scheduled end must not stay behind
        end_instances(ec2, new, "terminate")
        raise
    return Launched(plan, instances)


def _hours(span: timedelta) -> str:
    return f"{span.total_seconds() / 3600:.2f} h"


def _price(request: LaunchRequest) -> float:
    if request.usd_per_hour is not None:
        LaunchError.check_positive("usd_per_hour", request.usd_per_hour)
        return request.usd_per_hour
    try:
        # On-demand bounds spot from above: AWS caps the spot price there unless a higher maximum is set.
        return instance(request.instance_type).usd_per_hour("on_demand", None)
    except CatalogError as error:
        raise LaunchError(
            f"{error} Or give usd_per_hour yourself: a launch needs a price to stay within a budget."
        ) from error


def _parameters(request: LaunchRequest) -> dict[str, Any]:
    tags = tag_list({**request.tags, **request.lease.tags()})
    kinds = ("instance", "volume")  # what costs money by itself; the launch policy allows tags on these two alone
    given = {
        "ImageId": request.image,
        "InstanceType": request.instance_type,
        "MinCount": request.count,
        "MaxCount": request.count,
        "InstanceInitiatedShutdownBehavior": "terminate",
        "UserData": _user_data(request.script, request.lease.expires_at),
        "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"},
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in kinds],
    }
    if request.subnet:
        given["SubnetId"] = request.subnet
    if request.purchase == "spot":
        given["InstanceMarketOptions"] = {
            "MarketType": "spot",
            "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
        }
    words = json.dumps([given, request.region], sort_keys=True)
    return {**given, "ClientToken": hashlib.sha256(words.encode()).hexdigest()[:64]}


def _user_data(script: str, end: datetime) -> str:
    first, _, rest = script.partition("\n")
    if script and first.strip() not in SHELLS:
        raise LaunchError.of(
            "script", first[:60], "is no shell script's first line", f"begin it with one of {', '.join(SHELLS)}"
        )
    # Counted by the instance when it has booted: the text stays the same when the same launch is asked for again, which
    # the idempotency token needs, and booting takes nothing from the lease.
    timer = f"shutdown -P +$(( ({int(end.timestamp())} - $(date +%s)) / 60 ))"
    data = f"{first.strip() or SHELLS[1]}\n{timer}\n{rest}"
    if (size := len(data.encode())) > MOST_BYTES:
        wrong = f"makes {size:,} bytes of user data, and EC2 takes {MOST_BYTES:,}"
        raise LaunchError.of("script", f"{first[:60]} ...", wrong, "put the work into S3 or an image, and fetch it")
    return data
