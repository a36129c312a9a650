"""What happened in the account by itself, in lines for whoever turned its clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from course_lib.finops.cloud.ledger import CALLER

READS = ("Get", "Describe", "List")
LONG = 100  # characters of a value
# Of an upload, what boto3 adds: it tells nobody anything here.
TRANSPORT = {"ContentLength", "ChecksumAlgorithm", "ChecksumCRC32", "Metadata"}


def happened(records: Iterable[dict[str, Any]]) -> Iterator[str]:
    """A line for each thing that the account did and that changed something, and one for how often it only looked.

    Args:
        records: as the ledger has them; what callers asked for is left out.
    """
    looks = 0
    for record in records:
        if record["actor"] == CALLER:
            continue
        if record["operation"].startswith(READS) and not record["error"]:
            looks += 1
            continue
        details = [f"{name}={_short(value)}" for name, value in record["parameters"].items() if name not in TRANSPORT]
        words = [f"{record['time'][:19]}  {record['actor']}: {record['operation']}", *details]
        yield " ".join([*words, record["error"]] if record["error"] else words)
    if looks:
        yield f"Besides, {looks} reads by the account's own alarms and deliveries; `course cloud calls` names them."


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= LONG else f"{text[: LONG - 4]} ..."
