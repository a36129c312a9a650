"""The practice account's back door from the outside: its clock, its faults, its records."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import datetime, timedelta
from typing import Any

from course_lib.finops.cloud.faults import Fault
from course_lib.finops.errors import FinopsError
from course_lib.runtime import require_loopback


class BackDoor:
    """What only a practice account can do, at the address of a running one.

    Args:
        url: such as "http://127.0.0.1:5566".

    Raises:
        NotLoopbackError: the address is not on this machine.
    """

    def __init__(self, url: str) -> None:
        self.url = require_loopback(url)

    def now(self) -> datetime:
        """The account's time, in UTC."""
        return datetime.fromisoformat(self._ask("GET", "clock")["now"])

    def speed(self) -> float:
        """Simulated seconds per real second."""
        return float(self._ask("GET", "clock")["speed"])

    def advance(self, by: timedelta) -> datetime:
        """Turn the clock forward; what falls due on the way happens at its own moment. Returns the new time.

        Raises:
            FinopsError: for a step backward.
        """
        return datetime.fromisoformat(self._ask("POST", "clock", {"advance_seconds": by.total_seconds()})["now"])

    def run_at(self, speed: float) -> None:
        """Let the clock run at another speed from now on.

        Raises:
            FinopsError: for a negative speed.
        """
        self._ask("POST", "clock", {"speed": speed})

    def inject(self, kind: str, calls: str = "*", **rule: Any) -> None:
        """Let calls fail from now on, as `Fault` says.

        Raises:
            FinopsError: for a kind, a chance or a count that isn't one.
        """
        fault = Fault(kind, calls, **rule)  # refused here, where the mistake is
        self._ask("POST", "faults", vars(fault))

    def heal(self) -> None:
        """Remove all faults; what slept wakes up."""
        self._ask("DELETE", "faults")
        self._ask("POST", "asleep", {"guests": False, "schedules": False})

    def put_to_sleep(self, *, guests: bool | None = None, schedules: bool | None = None) -> None:
        """Let operating systems hang (no shutdown from inside), or the scheduler fire nothing, until `heal`."""
        asked = {"guests": guests, "schedules": schedules}
        self._ask("POST", "asleep", {name: value for name, value in asked.items() if value is not None})

    def set_quota(self, code: str, vcpus: float, region: str = "us-east-1") -> None:
        """Set one of EC2's vCPU quotas in a region; the account starts with plenty of each.

        Raises:
            FinopsError: for a code that isn't one, or a negative value.
        """
        self._ask("POST", "quotas", {"code": code, "vcpus": vcpus, "region": region})

    def records(self, since: int = 0) -> list[dict[str, Any]]:
        """The account's ledger: every call that reached it and everything that happened by itself, oldest first."""
        return list(self._ask("GET", f"calls?since={since}"))

    def forget_records(self) -> None:
        """Empty the ledger, also the file that it is written to."""
        self._ask("DELETE", "calls")

    def bury(self) -> None:
        """Take terminated instances out of sight, as AWS does by itself after about an hour; the bill keeps them."""
        self._ask("POST", "bury")

    def reset(self, start: datetime | None = None) -> None:
        """Empty the account; its clock runs on, or begins again at `start`.

        Raises:
            FinopsError: for a start without time zone.
        """
        if start is not None and start.tzinfo is None:
            raise FinopsError.of("start", start.isoformat(), "names no time zone", "add +00:00 for UTC")
        self._ask("POST", "reset", {} if start is None else {"start": start.isoformat()})

    def _ask(self, method: str, what: str, asked: dict[str, Any] | None = None) -> Any:
        body = None if asked is None else json.dumps(asked).encode()
        request = urllib.request.Request(f"{self.url}/_course/{what}", body, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=120) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise FinopsError(json.load(error)["error"]) from None
