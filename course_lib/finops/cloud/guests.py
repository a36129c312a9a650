"""What runs inside the instances: of user data, the one thing that matters here, a shutdown that was set at boot.

moto starts instances in which nothing runs. On EC2, cloud-init executes user data once, at the first boot, if it
begins with "#!" or "#cloud-config"; a `shutdown` there powers the instance off later, and what that means is decided
by the instance's InstanceInitiatedShutdownBehavior at that moment. A stop, a start or a reboot forgets the timer and
does not run user data again. Sources: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html and
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/terminating-instances.html
"""

from __future__ import annotations

import base64
import binascii
import re
import shlex
from dataclasses import dataclass
from datetime import datetime, timedelta

from course_lib.finops.cloud.instances import moto_instance

BOOT = timedelta(
    minutes=1
)  # from the launch to the first line of user data; an assumption, real boots take 0.5 to 3 minutes


@dataclass(frozen=True)
class Timer:
    """A shutdown that waits inside an instance."""

    due: datetime
    account: str
    region: str
    instance: str


class Guests:
    """All shutdown timers of an account's instances."""

    def __init__(self) -> None:
        self._timers: dict[str, Timer] = {}
        self.asleep = False  # a fault: instances whose operating system hangs never shut down

    def booted(self, account: str, region: str, instances: list[str], user_data: str, at: datetime) -> None:
        """Note what new instances' user data, in base64 as boto3 sends it, will do."""
        delay = shutdown_delay(_plain(user_data), at + BOOT)
        if delay is not None:
            for instance in instances:
                self._timers[instance] = Timer(at + BOOT + delay, account, region, instance)

    def forget(self, instances: list[str]) -> None:
        """A stop or a reboot: the timers are gone, and user data will not run again."""
        for instance in instances:
            self._timers.pop(instance, None)

    def next_due(self) -> datetime | None:
        """When the next instance shuts itself down."""
        return None if self.asleep else min((timer.due for timer in self._timers.values()), default=None)

    def happen(self, now: datetime) -> list[tuple[Timer, str]]:
        """Shut down whose time has come; returns each with what became of it: "terminated", "stopped" or "gone"."""
        if self.asleep:  # asked at another source's moment
            return []
        due = [timer for timer in self._timers.values() if timer.due <= now]
        for timer in due:
            del self._timers[timer.instance]
        return [(timer, _power_off(timer)) for timer in due]


def shutdown_delay(script: str, start: datetime) -> timedelta | None:
    """How long after its start a boot script powers its instance off, or None if it doesn't.

    Understood are lines that begin with `shutdown` (also with a path, or after sudo), with minutes, a time of day, or
    `$(( (END - $(date +%s)) / 60 ))`, and cloud-config's `power_state`.
    `shutdown -H` halts without powering off and `-r` reboots: neither ends an instance.

    Args:
        script: user data as text.
        start: when it runs, for times of day such as `shutdown 23:30`, which are in UTC on Amazon's images.
    """
    if script.startswith("#cloud-config"):
        return _of_cloud_config(script)
    if not script.startswith("#!"):
        return None  # cloud-init ignores text of an unknown kind
    delay = None
    for line in script.splitlines()[1:]:
        words = _words(_counted(line, start))
        if not words:
            continue
        if "-c" in words:
            delay = None
        elif not {"-H", "--halt", "-r", "--reboot", "-k"} & set(words):
            times = [word for word in words[1:] if not word.startswith("-")]
            delay = _delay(times[0] if times else "+1", start)
    return delay


def _counted(line: str, start: datetime) -> str:
    """The line with the minutes until a moment written out, where the shell is asked to count them."""

    def minutes(found: re.Match[str]) -> str:
        return str(max(0, int((int(found[1]) - start.timestamp()) / 60)))

    return re.sub(r"\$\(\(\s*\((\d+) - \$\(date \+%s\)\) / 60\s*\)\)", minutes, line)


def _words(line: str) -> list[str]:
    """The words of a line if it runs shutdown, else none."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # an unfinished quotation: the shell would go on reading, this doesn't
        return []
    if words[:1] == ["sudo"]:
        words = words[1:]
    return words if words and words[0].rpartition("/")[2] == "shutdown" else []


def _delay(when: str, start: datetime) -> timedelta | None:
    if when == "now":
        return timedelta()
    if found := re.fullmatch(r"\+?(\d+)", when):
        return timedelta(minutes=int(found[1]))
    if found := re.fullmatch(r"(\d{1,2}):(\d{2})", when):
        hour, minute = int(found[1]), int(found[2])
        if hour < 24 and minute < 60:
            at = start.replace(hour=hour, minute=minute, second=0, microsecond=0)
            return at - start if at > start else at + timedelta(days=1) - start
    return None  # shutdown itself refuses such a time, and the script goes on


def _of_cloud_config(text: str) -> timedelta | None:
    import yaml  # type: ignore[import-untyped]

    try:
        power = (yaml.safe_load(text) or {}).get("power_state") or {}
    except (yaml.YAMLError, AttributeError):
        return None
    if power.get("mode") != "poweroff":
        return None
    found = re.fullmatch(r"\+?(\d+)|now", str(power.get("delay", "now")))
    return timedelta(minutes=int(found[1] or 0)) if found else None


def _plain(user_data: str) -> str:
    try:
        return base64.b64decode(user_data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _power_off(timer: Timer) -> str:
    instance = moto_instance(timer.account, timer.region, timer.instance)
    if instance is None or instance.state != "running":
        return "gone"
    # A shutdown from inside ends an instance even if it is protected: DisableApiTermination is about the API.
    if instance.instance_initiated_shutdown_behavior == "terminate":
        instance.terminate()
        return "terminated"
    instance.stop()
    return "stopped"
