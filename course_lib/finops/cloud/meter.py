"""The meter: when each instance ran, and so what the account has to pay.

moto never charges. Here every beginning and end of an instance's running is noted, whatever caused it (a caller, a
group, a schedule, the instance itself), and the bill is what AWS's rule makes of it: on Linux each second counts, a
minute at least for each start. Source: https://aws.amazon.com/ec2/pricing/on-demand/
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

from course_lib.finops.cloud.holdings import Holdings

SHORTEST = timedelta(minutes=1)  # charged for each start


@dataclass
class Metered:
    """One instance on the meter.

    Attributes:
        instance: moto's object, whose tags and type count as they are when the bill is asked for.
        runs: each beginning and end of its running; the last end is None while it runs.
    """

    instance: Any
    runs: list[tuple[datetime, datetime | None]] = field(default_factory=list)

    def between(self, start: datetime, end: datetime, now: datetime) -> timedelta:
        """How long of an interval is charged, as known at `now`."""
        return sum((_overlap(run, start, min(end, now), now) for run in self.runs), timedelta())

    def span(self, now: datetime) -> tuple[datetime, datetime] | None:
        """The moments before and after which nothing is charged, as known at `now`."""
        if not self.runs:
            return None
        last = self.runs[-1]
        return self.runs[0][0], max(last[1] or now, last[0] + SHORTEST)


class Meter:
    """Notes the running times of all instances of the process; there is one account in it."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._metered: dict[str, Metered] = {}
        self.holdings = Holdings(now)  # volumes and addresses

    def began(self, instance: Any) -> None:
        """An instance runs from now on."""
        with self._lock:
            known = self._metered.setdefault(instance.id, Metered(instance))
            if not known.runs or known.runs[-1][1] is not None:
                known.runs.append((self._now(), None))

    def ended(self, instance: Any) -> None:
        """An instance runs no longer."""
        with self._lock:
            known = self._metered.get(instance.id)
            if known and known.runs and known.runs[-1][1] is None:
                known.runs[-1] = (known.runs[-1][0], self._now())

    def metered(self) -> list[Metered]:
        """All instances that ever ran, in the order in which they were launched."""
        with self._lock:
            return list(self._metered.values())

    def clear(self) -> None:
        """Forget all instances, and what was held."""
        with self._lock:
            self._metered.clear()
        self.holdings.clear()

    def watch(self) -> None:
        """Have moto tell of every instance that begins or ceases to run, for as long as the process lives."""
        self.holdings.watch()
        from moto.ec2.models.instances import Instance

        for method, note in (
            ("__init__", self.began),
            ("start", self.began),
            ("reboot", self.began),
            ("stop", self.ended),
            ("terminate", self.ended),
        ):
            setattr(Instance, method, _telling(getattr(Instance, method), note))


def days(start: datetime, end: datetime, step: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """The steps of an interval, the last one cut at its end."""
    while start < end:
        yield start, min(start + step, end)
        start += step


def _overlap(run: tuple[datetime, datetime | None], start: datetime, end: datetime, now: datetime) -> timedelta:
    began, ended = run
    charged_until = max(ended or now, began + SHORTEST)  # what is charged at least belongs to the time after the start
    return max(min(charged_until, end) - max(began, start), timedelta())


def _telling(method: Callable[..., Any], note: Callable[[Any], None]) -> Callable[..., Any]:
    @wraps(method)
    def told(instance: Any, *given: Any, **named: Any) -> Any:
        result = method(instance, *given, **named)
        note(instance)
        return result

    return told
