"""From the scheduler's thread to a request's coroutine."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial

from course_lib.serving.jobs import Ended, Event, Failed, Sink


class Mailbox:
    """The events of one request's jobs, in order.

    Args:
        every_event: wake the reader for each event, as a stream needs; else only when a job is over, which spares
            the event loop a wake-up for every token.
    """

    def __init__(self, *, every_event: bool) -> None:
        self._loop, self._arrived = asyncio.get_running_loop(), asyncio.Event()
        self._events: deque[tuple[int, Event]] = deque()
        self._every = every_event

    def sink(self, index: int) -> Sink:
        """Where job number `index` puts its events, from any thread."""
        return partial(self._put, index)

    def _put(self, index: int, event: Event) -> None:
        self._events.append((index, event))
        if self._every or isinstance(event, Ended | Failed):
            with suppress(RuntimeError):  # the loop is closed: nobody is there to read
                self._loop.call_soon_threadsafe(self._arrived.set)

    async def events(self, jobs: int) -> AsyncIterator[tuple[int, Event]]:
        """Job numbers and events, until all of `jobs` have ended.

        Raises:
            ServingError: of the first that fails.
        """
        while jobs:
            await self._arrived.wait()
            self._arrived.clear()
            while self._events:
                index, event = self._events.popleft()
                if isinstance(event, Failed):
                    raise event.error
                yield index, event
                jobs -= isinstance(event, Ended)
