"""What costs by being kept: volumes and public addresses, from the moment they are made until they are given back.

A stopped instance no longer runs, and its volume is still there; so is a volume that nobody attached, and an address
that nobody uses. Sources: https://aws.amazon.com/ebs/pricing/ (provisioned gibibytes, by the second) and
https://aws.amazon.com/vpc/pricing/ (public IPv4 addresses, by the hour, in use or not).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Literal

Kind = Literal["volume", "address"]


@dataclass
class Held:
    """A volume or an address.

    Attributes:
        kind: which of them.
        thing: moto's object; its size, type and tags count as they are when the bill is asked for.
        began: when it was made.
        ended: when it was given back; None while it is held.
    """

    kind: Kind
    thing: Any
    began: datetime
    ended: datetime | None = None

    def between(self, start: datetime, end: datetime, now: datetime) -> timedelta:
        """How long of an interval it was held, as known at `now`."""
        return max(min(self.ended or now, end, now) - max(self.began, start), timedelta())


class Holdings:
    """Notes what is held in the process; there is one account in it."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._held: dict[int, Held] = {}

    def all(self) -> list[Held]:
        """All that was ever held, in the order of its making."""
        with self._lock:
            return list(self._held.values())

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._held.clear()

    def watch(self) -> None:
        """Have moto tell of volumes and addresses, for as long as the process lives."""
        from moto.ec2.models.elastic_block_store import EBSBackend, Volume
        from moto.ec2.models.elastic_ip_addresses import ElasticAddress, ElasticAddressBackend

        volumes: Any = EBSBackend
        addresses: Any = ElasticAddressBackend
        kinds: tuple[tuple[Any, Kind], ...] = ((Volume, "volume"), (ElasticAddress, "address"))
        for cls, kind in kinds:
            cls.__init__ = self._noting(cls.__init__, kind)
        delete, release = volumes.delete_volume, addresses.release_address

        @wraps(delete)
        def deleted(backend: Any, *given: Any, **named: Any) -> Any:
            volume = delete(backend, *given, **named)
            self._ended(volume)
            return volume

        @wraps(release)
        def released(backend: Any, *given: Any, **named: Any) -> None:
            before = list(backend.addresses)
            release(backend, *given, **named)
            for address in before:
                if address not in backend.addresses:
                    self._ended(address)

        volumes.delete_volume, addresses.release_address = deleted, released

    def _noting(self, make: Callable[..., None], kind: Kind) -> Callable[..., None]:
        @wraps(make)
        def made(thing: Any, *given: Any, **named: Any) -> None:
            make(thing, *given, **named)
            with self._lock:
                self._held[id(thing)] = Held(kind, thing, self._now())

        return made

    def _ended(self, thing: Any) -> None:
        with self._lock:
            known = self._held.get(id(thing))
            if known and known.ended is None:
                known.ended = self._now()
