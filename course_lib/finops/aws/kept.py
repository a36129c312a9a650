"""Clients that are made once: making one reads a service's description, and isn't safe in several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class KeptClients:
    """boto3 clients by service and region. Using one in several threads is safe; making one is not, hence the lock.

    Source: https://boto3.amazonaws.com/v1/documentation/api/latest/guide/clients.html, "Multithreading".
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str | None], Any] = {}

    def get(self, service: str, region: str | None, make: Callable[[], Any]) -> Any:
        """The client of a service in a region, made by `make` the first time."""
        with self._lock:
            if (service, region) not in self._made:
                self._made[service, region] = make()
            return self._made[service, region]
