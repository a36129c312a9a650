"""What a check of this machine found: one row of `course doctor`'s table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Status = Literal["OK", "missing", "wrong", "note"]


@dataclass(frozen=True)
class Finding:
    """One row: what was looked at, how it stands, what was seen, and what to type when it is not as it should be.

    `required` says whether the main job (build the book, do a lab, grade a class) needs it: only then does a status
    of "missing" or "wrong" make `course doctor` fail. "note" is neither good nor bad.
    """

    name: str
    status: Status
    detail: str
    remedy: str = ""
    required: bool = False

    @property
    def stops_the_main_job(self) -> bool:
        """Whether the course's main job cannot run because of this."""
        return self.required and self.status in ("missing", "wrong")

    def as_dict(self) -> dict[str, object]:
        """A plain dictionary, for `--json`."""
        return asdict(self)
