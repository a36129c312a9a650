"""What was asked of the account, and what happened in it by itself: one record each, in the order of their coming."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

# Members whose values are secrets in some service; a record says that they were there.
SECRETS = {
    "AuthToken",
    "MasterUserPassword",
    "NewPassword",
    "OldPassword",
    "Password",
    "PrivateKey",
    "SecretAccessKey",
    "SecretBinary",
    "SecretString",
    "SessionToken",
}
CALLER = "caller"


@dataclass(frozen=True)
class Record:
    """One entry of the ledger.

    Attributes:
        number: counts from 0.
        time: the account's time, ISO 8601.
        actor: "caller" for a request from outside; otherwise what in the account acted: "scheduler", "guest", ...
        service, operation, region: of an API call; a happening has its own words for the operation.
        access_key: the caller's access key id.
        parameters: what was asked, as JSON; values of members that hold secrets are replaced.
        status: the HTTP status of the answer.
        error: the error's code, "" when the call succeeded.
    """

    number: int
    time: str
    actor: str
    service: str
    operation: str
    region: str
    access_key: str
    parameters: dict[str, Any]
    status: int
    error: str


class Ledger:
    """Records in memory, and in a file of JSON lines when there is one."""

    def __init__(self, path: Path | None = None) -> None:
        self._records: list[Record] = []
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8") if path else None

    def add(
        self,
        time: datetime,
        actor: str,
        what: tuple[str, str, str],
        parameters: dict[str, Any],
        *,
        access_key: str = "",
        status: int = 200,
        error: str = "",
    ) -> Record:
        """Append a record; `what` is service, operation and region."""
        with self._lock:
            record = Record(
                len(self._records),
                time.isoformat(),
                actor,
                *what,
                access_key,
                _without_secrets(parameters),
                status,
                error,
            )
            self._records.append(record)
            if self._file:
                self._file.write(json.dumps(asdict(record)) + "\n")
                self._file.flush()
        return record

    def since(self, number: int = 0) -> list[Record]:
        """The records from `number` on."""
        with self._lock:
            return self._records[number:]

    def clear(self) -> None:
        """Forget all records; the file keeps them."""
        with self._lock:
            self._records.clear()

    def erase(self) -> None:
        """Forget all records, also in the file: what came before is not part of the account's story with its user."""
        with self._lock:
            self._records.clear()
            if self._file:
                self._file.truncate(0)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: "(hidden)" if name in SECRETS else _without_secrets(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_secrets(inner) for inner in value]
    return value
