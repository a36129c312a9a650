"""The practice account from a program: starts it, and hands out boto3 clients."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from course_lib.finops.aws import KeptClients
from course_lib.finops.cloud.back_door import BackDoor
from course_lib.finops.cloud.story import Told, before, populate
from course_lib.finops.errors import FinopsError
from course_lib.runtime import LocalAws

REGION = "us-east-1"


class PracticeAccount(LocalAws, BackDoor):
    """A running practice account, empty unless it has a story. A context manager; or call `close()` when done.

    It is a `LocalAws` with time: instances with a `shutdown` in their user data end, schedules fire, tokens are
    honoured. Every client is plain boto3; on a real account, `boto3.client(...)` takes their place.

    Args:
        region: the region that its clients use unless they say otherwise.
        speed: simulated seconds per real second; 0 stands still until `advance`.
        start: the time at which it begins, with a time zone; the real time when left out.
        seed: of faults that come by chance, and of a story's draws.
        story: "research-group" gives it a past of 90 days that ends at `start`; it takes some seconds.

    Attributes:
        told: what the story left, such as the days of its bill that are out of line; None without one.

    Raises:
        FinopsError: for a start without time zone, or a story that is none.
    """

    SERVER = "course_lib.finops.cloud.server"

    def __init__(
        self,
        region: str = REGION,
        *,
        speed: float = 0.0,
        start: datetime | None = None,
        seed: int = 0,
        story: str | None = None,
    ) -> None:
        if start is not None and start.tzinfo is None:
            raise FinopsError.of("start", start.isoformat(), "names no time zone", "add +00:00 for UTC")
        begin = start if story is None else before(story, start)
        arguments = ["--until-stdin-closes", "--speed", str(speed if story is None else 0.0), "--seed", str(seed)]
        if begin is not None:
            arguments += ["--start", begin.isoformat()]
        super().__init__(region, arguments)
        self._kept = KeptClients()
        self.told: Told | None = None
        if story is not None:
            self.told = populate(self, story, seed, speed)
            self.calls.clear()

    def client(self, service: str, *, region: str | None = None, endpoint_url: str | None = None) -> Any:
        """A boto3 client that is bound to this account, the same one each time; see `LocalAws.client`."""
        make = partial(super().client, service, region=region, endpoint_url=endpoint_url)
        return make() if endpoint_url else self._kept.get(service, region, make)
