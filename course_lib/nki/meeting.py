"""A place where threads wait for one another: barriers, exchanges and collectives are all meetings.

A member that ended, failed, or waits for something else can never come; whoever waits for it is told at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from course_lib.nki.errors import NkiValidationError, broken_rule

_SILENCE = 600.0  # seconds; a member that computes for longer between two meetings is taken to hang


class Gone(NkiValidationError):
    """Another member ended or failed; its own error is the one to report."""


class Meeting:
    """Meetings of `count` members, each on a thread of its own.

    Args:
        noun: what a member is called in messages: core, rank.

    Attributes:
        failure: the first member's own error.
    """

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self.lock = threading.RLock()
        self.failure: BaseException | None = None
        self._changed = threading.Condition(self.lock)
        self._ended: dict[int, BaseException | None] = {}
        self._waits: dict[int, tuple[str, frozenset[int]]] = {}
        self._tables: dict[tuple[str, frozenset[int], int], dict[int, Any]] = {}
        self._turns: dict[tuple[int, str, frozenset[int]], int] = {}

    def meet(self, member: int, what: str, value: Any, others: Iterable[int]) -> dict[int, Any]:
        """Waits until all `others` have come to the same meeting.

        Args:
            member: who comes.
            what: name of the meeting; the n-th of this name is one meeting for all.
            value: what the member brings.
            others: all members of this meeting, itself included.

        Returns:
            What each member brought.

        Raises:
            NkiValidationError: when one of them can no longer come.
        """
        group = frozenset(others)
        with self._changed:
            turn = self._turns[member, what, group] = self._turns.get((member, what, group), 0) + 1
            table = self._tables.setdefault((what, group, turn), {})
            table[member] = value
            self._waits[member] = (what, group)
            self._changed.notify_all()
            try:
                while len(table) < len(group):
                    self._check(member, what, group - table.keys())
                    if not self._changed.wait(_SILENCE):
                        self._refuse(member, what, min(group - table.keys()), "has not come for ten minutes")
            finally:
                self._waits.pop(member, None)
            self._changed.notify_all()
            return table

    def _check(self, member: int, what: str, missing: frozenset[int]) -> None:
        for other in sorted(missing):
            if other in self._ended:
                failed = self._ended[other] is not None
                self._refuse(member, what, other, "failed" if failed else "has already ended", gone=failed)
            seen, still = {member}, other
            waits = self._waits.get(still)
            # A chain of members that wait for one another and leads back here can never move.
            while waits is not None and still not in seen:
                seen.add(still)
                absent = self._absent(still, waits)
                if not absent:
                    break
                if member in absent:
                    self._refuse(member, what, other, f"waits in {self._waits[other][0]}")
                still = min(absent)
                waits = self._waits.get(still)

    def _absent(self, member: int, waits: tuple[str, frozenset[int]]) -> frozenset[int]:
        what, group = waits
        table = self._tables[what, group, self._turns[member, what, group]]
        return group - table.keys()

    def _refuse(self, member: int, what: str, other: int, why: str, gone: bool = False) -> None:
        error = broken_rule(
            f"{self.noun} {member} waits in {what} for {self.noun} {other}, which {why}",
            limit=f"every {self.noun} that takes part makes the same calls in the same order",
            hint=f"keep the call out of branches that only one {self.noun} takes, and give all the same arguments",
        )
        raise Gone(str(error)) if gone else error

    def leave(self, member: int, failure: BaseException | None) -> None:
        """A member has ended, with its error if it failed."""
        with self._changed:
            self._ended[member] = failure
            if failure is not None and (self.failure is None or isinstance(self.failure, Gone)):
                self.failure = failure
            self._changed.notify_all()
