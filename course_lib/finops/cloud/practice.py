"""The practice account from a program: starts it, and hands out boto3 clients."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from course_lib.finops.aws import KeptClients
from course_lib.finops.cloud.back_door import BackDoor
from course_lib.finops.errors import FinopsError
from course_lib.runtime import LocalAws

REGION = "us-east-1"


class PracticeAccount(LocalAws, BackDoor):
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
        self._kept = KeptClients()

    def client(self, service: str, *, region: str | None = None, endpoint_url: str | None = None) -> Any:
        """A boto3 client that is bound to this account, the same one each time; see `LocalAws.client`."""
        make = partial(super().client, service, region=region, endpoint_url=endpoint_url)
        return make() if endpoint_url else self._kept.get(service, region, make)
