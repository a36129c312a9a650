"""Carrying out the plan of an emergency shutdown: first what starts instances, then the instances.

The order matters: an Auto Scaling group or a Batch queue that is still at work replaces what ends. What is blocked is
kept from starting, and ends nothing that the plan does not name: its instances end one by one, the protected ones not.
Only a group without protected instances is also set to 0. To let a group start instances again, raise its sizes and
resume its process Launch: https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-suspend-resume-processes.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from course_lib.finops.aws import AwsError, Clients, one_line, who_calls
from course_lib.finops.emergency.findings import Machine, Starter, machines, protected_of
from course_lib.finops.emergency.plan import EmergencyError, EmergencyPlan
from course_lib.finops.ephemeral import end_instances


@dataclass(frozen=True)
class Outcome:
    """What came of one thing in the plan.

    Attributes:
        what: the instance or starter.
        region: where.
        done: whether it ended or is blocked.
        why: in words, if not, or if it was left alone.
    """

    what: str
    region: str
    done: bool
    why: str = ""


@dataclass(frozen=True)
class EmergencyReport:
    """What an emergency shutdown did.

    Attributes:
        blocked: the starters.
        ended: the instances.
        left: what the plan named and what was left alone, with the reason.
        usd_per_hour: what an hour costs less than when the plan was made, of what has a known price; with what a
            blocked group ended by itself.
        unpriced: how many of those that are gone have no known price.
    """

    blocked: tuple[Outcome, ...]
    ended: tuple[Outcome, ...]
    left: tuple[Outcome, ...]
    usd_per_hour: float
    unpriced: int

    @property
    def failed(self) -> list[Outcome]:
        """What should have ended or stopped starting, and did not."""
        return [outcome for outcome in (*self.blocked, *self.ended) if not outcome.done]


def carry_out(account: Clients, plan: EmergencyPlan, typed: str) -> EmergencyReport:
    """End what a plan names, if it still is what it was.

    Args:
        account: whose; must be the plan's.
        plan: made at most a quarter of an hour ago.
        typed: what the person typed; must be `plan.phrase`.

    Raises:
        EmergencyError: for another account's plan, an old one, or another phrase; nothing was ended.
        AwsError: if AWS tells neither its time nor the account's number; nothing was ended.
    """
    if typed.strip() != plan.phrase:
        raise EmergencyError.of("typed", typed.strip(), "does not confirm this plan", f"type: {plan.phrase}")
    caller = who_calls(account)
    if caller.account != plan.account:
        wrong = f"is not the plan's, {plan.account}"
        raise EmergencyError.of("account", caller.account, wrong, "log in to the other account")
    if caller.now > plan.valid_until:
        raise EmergencyError.of("plan", plan.made.isoformat(), "is too old: things change", "make a new one")
    blocked = [_block(account, starter) for starter in plan.starters if not starter.protected]
    ended: list[Outcome] = []
    left = [Outcome(starter.id, starter.region, False, "protected") for starter in plan.starters if starter.protected]
    gone: list[Machine] = []
    for region in sorted({machine.region for machine in plan.machines}):
        planned = [machine for machine in plan.machines if machine.region == region]
        try:
            still, changed = _unchanged(account, region, planned)
        except AwsError as unseen:  # nobody knows what is there now, so nothing ends, and that is a failure
            ended += [Outcome(machine.id, region, False, str(unseen)) for machine in planned if not machine.protected]
            left += [Outcome(machine.id, region, False, "protected") for machine in planned if machine.protected]
            continue
        left += changed
        ec2 = account.client("ec2", region=region)
        for one, error in end_instances(ec2, [machine.id for machine in still], "terminate").items():
            ended.append(Outcome(one, region, error is None, "" if error is None else str(error)))
        away = {outcome.what for outcome in (*ended, *changed) if outcome.done}
        gone += [machine for machine in planned if machine.id in away]
    saved = sum(machine.usd_per_hour or 0.0 for machine in gone)
    unpriced = sum(machine.usd_per_hour is None for machine in gone)
    return EmergencyReport(tuple(blocked), tuple(ended), tuple(left), saved, unpriced)


def _unchanged(account: Clients, region: str, planned: list[Machine]) -> tuple[list[Machine], list[Outcome]]:
    """Which of the planned instances are still there and still unprotected, and what became of the others."""
    now = {machine.id: machine for machine in machines(account, region)}
    still, changed = [], []
    for machine in planned:
        if machine.protected or (machine.id in now and now[machine.id].protected):
            changed.append(Outcome(machine.id, region, False, "protected"))
        elif machine.id not in now:
            changed.append(Outcome(machine.id, region, True, "gone already"))
        else:
            still.append(machine)
    return still, changed


def _block(account: Clients, starter: Starter) -> Outcome:
    try:
        with one_line(f"blocking the {starter.kind} {starter.id} in {starter.region}"):
            BLOCKS[starter.kind](account, starter)
    except AwsError as error:
        return Outcome(starter.id, starter.region, False, str(error))
    return Outcome(starter.id, starter.region, True, starter.kind)


def _block_group(account: Clients, starter: Starter) -> None:
    groups: Any = account.client("autoscaling", region=starter.region)
    # A scheduled action may raise the sizes again; without this process that starts nothing.
    groups.suspend_processes(AutoScalingGroupName=starter.id, ScalingProcesses=["Launch"])
    found = groups.describe_auto_scaling_groups(AutoScalingGroupNames=[starter.id])["AutoScalingGroups"]
    members = {one["InstanceId"] for group in found for one in group["Instances"]}
    if not protected_of(account, starter.region, members):
        groups.update_auto_scaling_group(AutoScalingGroupName=starter.id, MinSize=0, MaxSize=0, DesiredCapacity=0)


def _block_queue(account: Clients, starter: Starter) -> None:
    account.client("batch", region=starter.region).update_job_queue(jobQueue=starter.id, state="DISABLED")


def _block_spot_fleet(account: Clients, starter: Starter) -> None:
    ec2 = account.client("ec2", region=starter.region)
    told = ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[starter.id], TerminateInstances=False)
    _check(told.get("UnsuccessfulFleetRequests"))


def _block_fleet(account: Clients, starter: Starter) -> None:
    told = account.client("ec2", region=starter.region).delete_fleets(FleetIds=[starter.id], TerminateInstances=False)
    _check(told.get("UnsuccessfulFleetDeletions"))


def _check(refused: list[dict[str, Any]] | None) -> None:
    """Raise what an answer tells as a refusal among successes, as boto3 raises an error."""
    from botocore.exceptions import ClientError

    for one in refused or ():
        raise ClientError({"Error": one["Error"]}, "")


def _block_request(account: Clients, starter: Starter) -> None:
    ec2 = account.client("ec2", region=starter.region)
    ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[starter.id])


BLOCKS: dict[str, Callable[[Clients, Starter], None]] = {
    "auto scaling group": _block_group,
    "batch queue": _block_queue,
    "spot fleet": _block_spot_fleet,
    "fleet": _block_fleet,
    "spot request": _block_request,
}
