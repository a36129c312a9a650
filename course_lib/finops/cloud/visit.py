"""boto3 clients for an account that another process started: what `course cloud` itself needs to work in it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from course_lib.finops.aws import KeptClients
from course_lib.finops.cloud.back_door import BackDoor
from course_lib.runtime import private_session

REGION = "us-east-1"


class Visit(BackDoor):
    """A running practice account, by its address: its back door, and clients with invented credentials.

    Args:
        url: such as "http://127.0.0.1:5566".

    Raises:
        NotLoopbackError: the address is not on this machine.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._kept = KeptClients()

    def client(self, service: str, *, region: str | None = None) -> Any:
        """A boto3 client that is bound to this account, the same one each time."""
        where = region or REGION
        return self._kept.get(service, where, lambda: self._make(service, where))

    def _make(self, service: str, region: str) -> Any:
        from botocore.config import Config

        return self._session.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id="local-only",
            aws_secret_access_key="local-only",
            config=Config(proxies={}, s3={"addressing_style": "path"}),
        )

    @cached_property
    def _session(self) -> Any:
        return private_session()
