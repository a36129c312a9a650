"""Watch for the interruption notice while training goes on: a thread that looks every few seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol

from course_lib.finops.spot.errors import MetadataError, check_positive
from course_lib.finops.spot.job import NOTICE_SECONDS
from course_lib.finops.spot.metadata import InterruptionNotice


class NoticeSource(Protocol):
    """What a watcher asks: a `MetadataClient`, or anything that answers alike."""

    def interruption_notice(self) -> InterruptionNotice | None:
        """The notice, or None."""
        ...

    def rebalance_recommendation(self) -> datetime | None:
        """The moment of the recommendation, or None."""
        ...


@dataclass(frozen=True)
class Notice:
    """An interruption notice as this machine met it.

    Args:
        action: "terminate", "stop" or "hibernate".
        at: the moment that AWS names.
        deadline: when it will be over, on the watcher's monotonic clock.
    """

    action: str
    at: datetime
    deadline: float


class NoticeWatcher:
    """Looks for an interruption notice in a thread of its own; use it as a context manager.

    A failing metadata service never ends the training: the error is kept in `last_error` and the next look follows.

    Args:
        source: where to look.
        on_notice: called once, in the watcher's thread, with the notice.
        on_rebalance: called once with the moment of a rebalance recommendation.
        poll_seconds: between looks; AWS recommends 5.
        clock: monotonic seconds.
        now: the time of day, in UTC.

    Attributes:
        last_error: what went wrong at the last look, or in a callback; None if nothing did.
        failures: looks that failed, one after another.

    Source: "Spot Instance interruption notices", Amazon EC2 User Guide.
    """

    def __init__(
        self,
        source: NoticeSource,
        on_notice: Callable[[Notice], object] | None = None,
        *,
        on_rebalance: Callable[[datetime], object] | None = None,
        poll_seconds: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        check_positive("poll_seconds", poll_seconds)
        self.last_error: Exception | None = None
        self.failures = 0
        self.clock = clock
        self._source, self._on_notice, self._on_rebalance = source, on_notice, on_rebalance
        self._poll_seconds, self._now = poll_seconds, now
        self._notice: Notice | None = None
        self._rebalance: datetime | None = None
        self._looked_at = clock()
        self._callback_error: Exception | None = None
        self._seen = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def notice(self) -> Notice | None:
        """The notice, once there is one."""
        return self._notice

    @property
    def rebalance(self) -> datetime | None:
        """When a rebalance recommendation was given, once there is one."""
        return self._rebalance

    def start(self) -> NoticeWatcher:
        """Start looking; the first look is at once. Starting it again changes nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="spot-notice", daemon=True)
            self._thread.start()
        return self

    def stop(self) -> None:
        """Stop looking and wait for the thread; stopping it again, or from its own callback, is fine."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def wait(self, timeout_seconds: float | None = None) -> Notice | None:
        """Wait for the notice; None when there is none in time."""
        self._seen.wait(timeout_seconds)
        return self._notice

    def look(self) -> Notice | None:
        """Look once, as the thread does; returns the notice if there is one."""
        looked_before, looks_at = self._looked_at, self.clock()
        try:
            if self._notice is None and (found := self._source.interruption_notice()) is not None:
                self._found(found, looked_before)
            if self._rebalance is None and (moment := self._source.rebalance_recommendation()) is not None:
                self._rebalance = moment
                self._call(self._on_rebalance, moment)
        except MetadataError as error:
            self.last_error = error
            self.failures += 1
        else:
            self.last_error, self.failures, self._looked_at = self._callback_error, 0, looks_at
        return self._notice

    def _found(self, found: InterruptionNotice, looked_before: float) -> None:
        left = (found.at - self._now()).total_seconds()
        if not 0 <= left <= NOTICE_SECONDS:  # the clock of this machine is wrong, so count from the last look
            left = max(NOTICE_SECONDS - (self.clock() - looked_before), 0.0)
        self._notice = Notice(found.action, found.at, self.clock() + left)
        self._seen.set()
        self._call(self._on_notice, self._notice)

    def _call(self, callback: Callable[[Any], object] | None, argument: object) -> None:
        if callback is None:
            return
        try:
            callback(argument)
        except Exception as error:  # noqa: BLE001 - a mistake in a callback must not end the watch
            self._callback_error = error

    def _run(self) -> None:
        while not self._stop.is_set():
            if self.look() is not None:
                return
            self._stop.wait(self._poll_seconds)

    def __enter__(self) -> NoticeWatcher:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
