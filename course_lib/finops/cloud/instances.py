"""Instances as EC2 has them: in a region that is one, with user data that runs, told of until an hour after the end."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from course_lib.finops.cloud.wire import ApiCall, ApiError

SEEN = timedelta(hours=1)  # for how long a terminated instance is still told of
ENDED = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC\)")
# In the answer to RunInstances, where reading the whole answer would take longer than the launch.
IDS = re.compile(rb"<instanceId>(i-[0-9a-f]+)</instanceId>")


def check_type(account: Any, call: ApiCall) -> None:
    """Refuse an instance type that isn't one; moto takes any word."""
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    asked = call.parameters.get("InstanceType")
    if asked and asked not in INSTANCE_TYPES:
        raise ApiError("InvalidParameterValue", f"Invalid value '{asked}' for InstanceType.")


def shutdown_behavior(account: Any, call: ApiCall) -> dict[str, Any] | None:
    """Change what a shutdown from inside means; moto's ModifyInstanceAttribute leaves it out."""
    wanted = (call.parameters.get("InstanceInitiatedShutdownBehavior") or {}).get("Value")
    if wanted is None or call.parameters.get("DryRun"):
        return None
    if wanted not in ("stop", "terminate"):
        raise ApiError("InvalidParameterValue", f"Invalid value '{wanted}' for InstanceInitiatedShutdownBehavior.")
    asked = call.parameters["InstanceId"]
    instance = moto_instance(account_of(call), call.region, asked)
    if instance is None:
        raise ApiError("InvalidInstanceID.NotFound", f"The instance ID '{asked}' does not exist")
    instance.instance_initiated_shutdown_behavior = wanted
    return {}


def check_stop(account: Any, call: ApiCall) -> None:
    """Refuse to stop what EC2 can't: a spot instance, unless its request is a persistent one; moto stops it."""
    from moto.ec2.models import ec2_backends

    owner = account_of(call)
    requests = ec2_backends[owner][call.region].spot_instance_requests.values()
    again = {request.instance_id for request in requests if request.type == "persistent"}
    for asked in call.parameters.get("InstanceIds", ()):
        instance = None if asked in again else moto_instance(owner, call.region, asked)
        if instance is not None and instance.lifecycle == "spot" and not getattr(instance, "starts_again", False):
            said = f"You can't stop the Spot Instance '{asked}': it belongs to a one-time Spot Instance request."
            raise ApiError("UnsupportedOperation", said)


def check_replay(call: ApiCall, body: bytes) -> None:
    """Refuse to repeat the answer to a launch whose instances have all ended, as EC2 does."""
    found = [moto_instance(account_of(call), call.region, one.decode()) for one in dict.fromkeys(IDS.findall(body))]
    if found and all(one is None or one.state in ("terminated", "shutting-down") for one in found):
        said = "The instance that was launched with this client token has been terminated."
        raise ApiError("IdempotentInstanceTerminated", said)


def after_run(account: Any, call: ApiCall, status: int, headers: dict[str, str], body: bytes) -> None:
    """Boot the instances: their user data begins to count."""
    ids = [found.decode() for found in dict.fromkeys(IDS.findall(body))]
    owner = account_of(call)
    if call.parameters.get("DisableApiTermination"):  # moto takes it from ModifyInstanceAttribute only
        for instance in ids:
            moto_instance(owner, call.region, instance).disable_api_termination = True
    spot = (call.parameters.get("InstanceMarketOptions") or {}).get("SpotOptions") or {}
    if spot.get("SpotInstanceType") == "persistent":  # moto makes no request for it
        for instance in ids:
            moto_instance(owner, call.region, instance).starts_again = True
    data = str(call.parameters.get("UserData", ""))
    account.guests.booted(owner, call.region, ids, data, account.clock.now())


def after_stop(account: Any, call: ApiCall, status: int, headers: dict[str, str], body: bytes) -> None:
    """A stop or a reboot: what waited inside is gone."""
    account.guests.forget(list(call.parameters.get("InstanceIds", ())))


def bury(now: datetime) -> None:
    """Forget terminated instances an hour after their end, as EC2's answers do; their bill and tags stay."""
    from moto.ec2.models import ec2_backends

    for _, regions in list(ec2_backends.items()):
        for backend in list(regions.values()):
            for key, reservation in list(backend.reservations.items()):
                stay = [one for one in reservation.instances if not _long_gone(one, now)]
                if not stay:
                    del backend.reservations[key]
                reservation.instances[:] = stay


def _long_gone(instance: Any, now: datetime) -> bool:
    if instance.state != "terminated":
        return False
    told = ENDED.search(instance.state_transition_reason or "")
    return told is None or now - datetime.fromisoformat(told[1]).replace(tzinfo=UTC) >= SEEN


def account_of(call: ApiCall) -> str:
    """The number of the account that a caller's key belongs to."""
    from moto.iam.models import get_account_id_from

    return str(get_account_id_from(call.access_key))


def moto_instance(account_id: str, region: str, instance: str) -> Any:
    """moto's own object for an instance, or None."""
    from moto.ec2.models import ec2_backends

    for reservation in list(ec2_backends[account_id][region].reservations.values()):
        for found in reservation.instances:
            if found.id == instance:
                return found
    return None
