"""The practice account from the outside: starts it, hands out boto3 clients, turns its clock, injects faults."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import datetime, timedelta
from typing import Any

from course_lib.finops.cloud.faults import Fault
from course_lib.finops.errors import FinopsError
from course_lib.runtime import LocalAws

REGION = "us-east-1"


class PracticeAccount(LocalAws):
    """A running, empty practice account. Use it as a context manager, or call `close()` when done.

    It is a `LocalAws` with time: instances with a `shutdown` in their user data end, schedules fire, tokens are
    honoured. Every client is plain boto3; on a real account, `boto3.client(...)` takes their place.

    Args:
        region: the region that its clients use unless they say otherwise.
        speed: simulated seconds per real second; 0 stands still until `advance`.
        start: the time at which it begins, with a time zone; the real time when left out.
        seed: of faults that come by chance.
    """

    SERVER = "course_lib.finops.cloud.server"

    def __init__(
        self, region: str = REGION, *, speed: float = 0.0, start: datetime | None = None, seed: int = 0
    ) -> None:
        arguments = ["--until-stdin-closes", "--speed", str(speed), "--seed", str(seed)]
        if start is not None:
            if start.tzinfo is None:
                raise FinopsError.of("start", start.isoformat(), "names no time zone", "add +00:00 for UTC")
            arguments += ["--start", start.isoformat()]
        super().__init__(region, arguments)

    def now(self) -> datetime:
        """The account's time, in UTC."""
        return datetime.fromisoformat(self._ask("GET", "clock")["now"])

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

    def records(self, since: int = 0) -> list[dict[str, Any]]:
        """The account's ledger: every call that reached it and everything that happened by itself, oldest first."""
        return list(self._ask("GET", f"calls?since={since}"))

    def reset(self) -> None:
        """Empty the account; its clock runs on."""
        self._ask("POST", "reset")

    def _ask(self, method: str, what: str, asked: dict[str, Any] | None = None) -> Any:
        body = None if asked is None else json.dumps(asked).encode()
        request = urllib.request.Request(f"{self.url}/_course/{what}", body, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=120) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise FinopsError(json.load(error)["error"]) from None
