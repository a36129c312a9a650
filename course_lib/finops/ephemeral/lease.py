"""A lease: who has an instance, for what, and until when, written in its tags.

The end is a moment in UTC and nothing else: no duration (counted from when?), no local time (whose?), no hour of the
day that a reaper may miss. Whatever compares it asks `now >= expires_at`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from course_lib.finops.errors import FinopsError

OWNER, PROJECT, EXPIRES, PROTECTED = "owner", "project", "expires-at", "protected"
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html: letters, digits, spaces and + - = . _ : / @
ALLOWED = re.compile(r"[\w .:/=+\-@]{1,256}")
ODD = re.compile(r"[^\w .:/=+\-@]")


class LeaseError(FinopsError):
    """A lease that can't be granted, or tags that hold none."""


@dataclass(frozen=True)
class Lease:
    """Who has an instance, for what, and until when.

    Attributes:
        owner: whom to ask, such as a mail address.
        project: who pays.
        expires_at: the end, with a time zone.

    Raises:
        LeaseError: for a word that can't be a tag, or a time without a time zone.
    """

    owner: str
    project: str
    expires_at: datetime

    def __post_init__(self) -> None:
        for name, value in ((OWNER, self.owner), (PROJECT, self.project)):
            if not ALLOWED.fullmatch(value) or value != value.strip():
                raise LeaseError.of(
                    name, value, "is no tag's value", "use 1 to 256 letters, digits, spaces or any of . : / = + - @ _"
                )
        if self.expires_at.tzinfo is None:
            raise LeaseError.of(EXPIRES, self.expires_at.isoformat(), "names no time zone", "add +00:00 for UTC")

    def expired(self, now: datetime) -> bool:
        """Whether the lease has ended at `now`."""
        return now >= self.expires_at

    def tags(self) -> dict[str, str]:
        """The lease as an instance's tags."""
        end = self.expires_at.astimezone(UTC).replace(microsecond=0)
        return {OWNER: self.owner, PROJECT: self.project, EXPIRES: end.isoformat().replace("+00:00", "Z")}


def read_lease(tags: dict[str, str]) -> Lease:
    """The lease that an instance's tags hold.

    EC2's tags take any character; in an owner's or a project's name those that a lease has not are read as "_".

    Raises:
        LeaseError: saying which tag is missing, or can't be read.
    """
    missing = [name for name in (OWNER, PROJECT, EXPIRES) if not tags.get(name, "").strip()]
    if missing:
        raise LeaseError(f"no tag {' or '.join(missing)}. Remedy: launch through a lease, which writes all three.")
    text = tags[EXPIRES].strip()
    try:
        end = datetime.fromisoformat(text)
    except ValueError:
        raise LeaseError.of(EXPIRES, text, "is no time", "write it as 2026-12-01T08:00:00Z") from None
    owner, project = (ODD.sub("_", tags[name].strip()) for name in (OWNER, PROJECT))
    return Lease(owner, project, end)


def is_protected(tags: dict[str, str]) -> bool:
    """Whether tags say that nothing here may end what carries them."""
    return tags.get(PROTECTED, "").strip().lower() == "true"
