"""Launching as EC2 does it: a type that exists, and user data that runs."""

from __future__ import annotations

from typing import Any

from course_lib.finops.cloud.wire import ApiCall, ApiError, read_result


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


def after_run(account: Any, call: ApiCall, status: int, headers: dict[str, str], body: bytes) -> None:
    """Boot the instances: their user data begins to count."""
    reservation = read_result(call, status, headers, body)
    ids = [instance["InstanceId"] for instance in reservation["Instances"]]
    if call.parameters.get("DisableApiTermination"):  # moto takes it from ModifyInstanceAttribute only
        for instance in ids:
            moto_instance(reservation["OwnerId"], call.region, instance).disable_api_termination = True
    data = str(call.parameters.get("UserData", ""))
    account.guests.booted(reservation["OwnerId"], call.region, ids, data, account.clock.now())


def after_stop(account: Any, call: ApiCall, status: int, headers: dict[str, str], body: bytes) -> None:
    """A stop or a reboot: what waited inside is gone."""
    account.guests.forget(list(call.parameters.get("InstanceIds", ())))


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
