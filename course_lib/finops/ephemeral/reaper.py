"""The reaper: looks at every instance of every region, and ends those whose lease has ended.

It is the layer that assumes that all others failed, so it needs nothing from them: no list of what was launched, no
state of its own. What it finds in the tags at this moment decides, and running it twice changes nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from course_lib.finops.aws import AwsError, Clients, aws_now, living_instances, one_line, pages, tags_of, usable_regions
from course_lib.finops.ephemeral.ending import end_instances
from course_lib.finops.ephemeral.lease import Lease, LeaseError, is_protected, read_lease
from course_lib.finops.ephemeral.replacers import replaced_by
from course_lib.finops.errors import FinopsError

GRACE = timedelta(hours=1)  # for an instance without a lease, counted from its launch
WORKERS = 8  # regions at a time

Action = Literal["keep", "terminate", "stop", "report"]


class TooManyError(FinopsError):
    """A sweep would end more than it may; nothing was done."""


@dataclass(frozen=True)
class Verdict:
    """What a sweep decided about one instance, and what came of it.

    Attributes:
        instance, region, instance_type, state: as EC2 tells them.
        action: what is to be done.
        why: in words.
        lease: the instance's, if its tags hold one.
        overdue: by how much it outlived its lease.
        spot_request: the persistent spot request to cancel first, which would start the next instance; "" for none.
        error: why the action failed; "" when it didn't, or wasn't tried.
    """

    instance: str
    region: str
    instance_type: str
    state: str
    action: Action
    why: str
    lease: Lease | None = None
    overdue: timedelta = timedelta()
    spot_request: str = ""
    error: str = ""


@dataclass(frozen=True)
class Sweep:
    """The result of looking everywhere once.

    Attributes:
        now: AWS's time when it began.
        applied: False for a dry run.
        verdicts: one for each instance that isn't terminated, by region and id.
        unseen: regions that could not be looked at, with the reason.
    """

    now: datetime
    applied: bool
    verdicts: tuple[Verdict, ...]
    unseen: dict[str, str]

    def of(self, action: Action) -> list[Verdict]:
        """The verdicts with one action."""
        return [verdict for verdict in self.verdicts if verdict.action == action]

    @property
    def failed(self) -> list[Verdict]:
        """What should have ended and did not."""
        return [verdict for verdict in self.verdicts if verdict.error]


def sweep(
    account: Clients,
    *,
    regions: Iterable[str] | None = None,
    now: datetime | None = None,
    grace: timedelta = GRACE,
    without_lease: Action = "stop",
    at_most: int | None = 100,
    apply: bool = False,
) -> Sweep:
    """Look at every instance, and with `apply` end what has outlived its lease.

    Instances with the tag `protected` = `true` are never touched. One whose tags hold no lease is treated by
    `without_lease` once it is older than `grace`; EC2 can't stop a spot instance of a one-time request, and so "stop"
    terminates that. What an Auto Scaling group or a fleet keeps up may be replaced, and its verdict says so. A region
    that can't be looked at doesn't keep the others from being swept; it is named in the result.

    Args:
        account: whose.
        regions: where to look; every enabled region when left out.
        now: the time that counts; AWS's own when left out.
        grace: how long an instance may be without a lease.
        without_lease: "stop" (its disk stays for whoever forgot it), "terminate", or "report".
        at_most: do nothing at all if more instances than this are to end: a mistake in a policy or a clock, not a
            thousand forgotten instances, is the likelier cause. None takes the limit away.
        apply: False only says what would be done.

    Raises:
        TooManyError: for more than `at_most`; nothing was done.
        AwsError: if AWS tells neither its time nor its regions.
        FinopsError: for a `now` without time zone, or an unknown `without_lease`.
    """
    if without_lease not in get_args(Action):
        raise FinopsError.of(
            "without_lease", without_lease, "is no action", f"use one of {', '.join(get_args(Action))}"
        )
    now = now or aws_now(account)
    if now.tzinfo is None:
        raise FinopsError.of("now", now.isoformat(), "names no time zone", "add +00:00 for UTC")
    where = sorted(regions) if regions is not None else usable_regions(account)
    seen: list[Verdict] = []
    unseen: dict[str, str] = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        looks = {region: pool.submit(_look, account, region, now, grace, without_lease) for region in where}
        for region, look in looks.items():
            try:
                seen += look.result()
            except AwsError as error:
                unseen[region] = str(error)
        doomed = [verdict for verdict in seen if verdict.action in ("terminate", "stop")]
        if at_most is not None and len(doomed) > at_most:
            raise TooManyError.of(
                "at_most",
                at_most,
                f"is less than the {len(doomed)} instances to end",
                "look at them first, then raise it",
            )
        if apply:
            errors = _carry_out(pool, account, doomed)
            seen = [_with_error(verdict, errors.get(verdict.instance)) for verdict in seen]
    return Sweep(now, apply, tuple(sorted(seen, key=lambda v: (v.region, v.instance))), unseen)


def judge(instance: dict[str, Any], region: str, now: datetime, grace: timedelta, without_lease: Action) -> Verdict:
    """What is to be done with one instance, as DescribeInstances tells of it."""
    tags = tags_of(instance.get("Tags"))
    told = (instance["InstanceId"], region, instance["InstanceType"], instance["State"]["Name"])
    try:
        lease = read_lease(tags)
    except LeaseError as error:
        if is_protected(tags):
            return Verdict(*told, "keep", "protected")
        age = now - instance["LaunchTime"]
        if age < grace:
            return Verdict(*told, "keep", f"{error} It is {_words(age)} old.")
        if without_lease == "stop" and told[3] in ("stopping", "stopped"):
            return Verdict(*told, "report", f"{error} It is stopped, and its disk still costs money.")
        return Verdict(*told, without_lease, f"{error} It is {_words(age)} old.")
    if is_protected(tags):
        return Verdict(*told, "keep", "protected", lease)
    if not lease.expired(now):
        return Verdict(*told, "keep", f"leased for {_words(lease.expires_at - now)} more", lease)
    overdue = now - lease.expires_at
    return Verdict(*told, "terminate", f"its lease ended {_words(overdue)} ago", lease, overdue)


def _with_replacer(verdict: Verdict, found: dict[str, Any]) -> Verdict:
    """What must be set to 0 besides, or the instance that ends is followed by the next."""
    by = replaced_by(tags_of(found.get("Tags"))) if verdict.action in ("stop", "terminate") else ""
    told = f"{verdict.why.rstrip('.')}. It belongs to {by}, which may replace it."
    return replace(verdict, why=told) if by else verdict


def _look(account: Clients, region: str, now: datetime, grace: timedelta, without_lease: Action) -> list[Verdict]:
    verdicts, spot = [], set()
    for found in living_instances(account, region):
        verdicts.append(_with_replacer(judge(found, region, now, grace, without_lease), found))
        if verdicts[-1].action in ("stop", "terminate") and found.get("InstanceLifecycle") == "spot":
            spot.add(found["InstanceId"])
    again = _persistent(account, region) if spot else {}
    if again is None:
        return verdicts  # nobody knows: what EC2 refuses of it is told
    return [_of_spot(one, again.get(one.instance, "")) if one.instance in spot else one for one in verdicts]


def _persistent(account: Clients, region: str) -> dict[str, str] | None:
    """Instance -> the spot request that would start it again, of a region; None if it can't be asked."""
    ec2, kept = account.client("ec2", region=region), [{"Name": "type", "Values": ["persistent"]}]
    try:
        asked = list(pages(ec2, "describe_spot_instance_requests", f"listing spot requests in {region}", Filters=kept))
    except AwsError:
        return None
    found = (request for page in asked for request in page["SpotInstanceRequests"])
    return {one["InstanceId"]: one["SpotInstanceRequestId"] for one in found if one.get("InstanceId")}


def _of_spot(verdict: Verdict, request: str) -> Verdict:
    """A spot instance's verdict: EC2 stops it only if its request is persistent, and such a request would replace it.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-instances-request.html
    """
    if verdict.action == "stop":
        why = f"{verdict.why} A spot instance can't be stopped."
        return verdict if request else replace(verdict, action="terminate", why=why)
    return replace(verdict, spot_request=request)


def _carry_out(pool: ThreadPoolExecutor, account: Clients, doomed: list[Verdict]) -> dict[str, AwsError | None]:
    batches: dict[tuple[str, Any], list[str]] = {}
    for verdict in doomed:
        batches.setdefault((verdict.region, verdict.action), []).append(verdict.instance)

    def work(batch: tuple[tuple[str, Any], list[str]]) -> dict[str, AwsError | None]:
        (region, how), instances = batch
        return end_instances(account.client("ec2", region=region), instances, how)

    uncanceled = {verdict.instance: _cancel(account, verdict) for verdict in doomed if verdict.spot_request}
    errors: dict[str, AwsError | None] = {}
    for results in pool.map(work, batches.items()):
        errors |= results
    return errors | {one: error for one, error in uncanceled.items() if error}


def _cancel(account: Clients, verdict: Verdict) -> AwsError | None:
    ec2 = account.client("ec2", region=verdict.region)
    try:
        with one_line(f"canceling {verdict.spot_request}, which starts {verdict.instance} again"):
            ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[verdict.spot_request])
    except AwsError as error:  # the instance ends all the same: it costs money now
        return error
    return None


def _with_error(verdict: Verdict, error: AwsError | None) -> Verdict:
    return verdict if error is None else replace(verdict, error=str(error))


def _words(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} d"
