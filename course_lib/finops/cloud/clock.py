"""The account's clock: it runs as fast as you like, and you can turn it.

Time in the practice account is simulated, so that an instance with twelve hours to live ends within a lesson. The clock
never jumps over what is due: `advance` stops at each due moment on its way and lets it happen there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from course_lib.finops.errors import FinopsError

# The next moment at which something is due, at or before the given one, or None; and the happening itself.
NextDue = Callable[[], datetime | None]
Happen = Callable[[datetime], None]


class Clock:
    """A clock in UTC that runs `speed` simulated seconds for each real one.

    Args:
        start: where it begins, with a time zone; the real time when left out.
        speed: simulated seconds per real second; 0 stands still until somebody turns it.
        real: seconds of a monotonic real clock; tests hand in their own.

    Raises:
        FinopsError: for a start without time zone or a negative speed.
    """

    def __init__(
        self, start: datetime | None = None, speed: float = 1.0, real: Callable[[], float] = time.monotonic
    ) -> None:
        start = start or datetime.now(UTC).replace(microsecond=0)
        if start.tzinfo is None:
            raise FinopsError.of("start", start.isoformat(), "names no time zone", "add +00:00 for UTC")
        _check_speed(speed)
        self._lock = threading.RLock()
        self._real = real
        self._speed = float(speed)
        self._base = start.astimezone(UTC)
        self._since = real()
        self._held: datetime | None = None  # while something happens, the time at which it is due

    @property
    def speed(self) -> float:
        """Simulated seconds per real second."""
        return self._speed

    def now(self) -> datetime:
        """The simulated time, in UTC."""
        held = self._held  # read without the lock: what happens at that moment may ask from another thread
        if held is not None:
            return held
        with self._lock:
            if self._held is not None:
                return self._held
            return self._base + timedelta(seconds=(self._real() - self._since) * self._speed)

    def run_at(self, speed: float) -> None:
        """Go on from now at another speed."""
        _check_speed(speed)
        with self._lock:
            self._base, self._since, self._speed = self.now(), self._real(), float(speed)

    def restart(self, at: datetime) -> None:
        """Show another time from now on, also an earlier one; for an emptied account, in which nothing is due."""
        with self._lock:
            self._base, self._since = at.astimezone(UTC), self._real()

    def reach(self, until: datetime, next_due: NextDue, happen: Happen) -> int:
        """Let everything happen that is due up to `until`, each at its own moment; the clock ends there or later.

        Args:
            until: a time with a time zone; an earlier one than now only catches up with what is due.
            next_due: the earliest moment at which something is due, or None.
            happen: called with that moment, while the clock shows it; what it does may make other things due.

        Returns:
            How many moments were visited.
        """
        visited = 0
        with self._lock:
            until = max(until.astimezone(UTC), self.now())
            while (due := next_due()) is not None and due <= until:
                self._held = due = max(due, self.now())  # what was due before anybody looked happens now
                try:
                    happen(due)
                finally:
                    self._held = None
                visited += 1
            self._base, self._since = max(until, self.now()), self._real()
        return visited


def _check_speed(speed: float) -> None:
    if not 0 <= speed < float("inf"):
        raise FinopsError.of(
            "speed", speed, "must be 0 or more", "give simulated seconds per real second; 0 stands still"
        )
