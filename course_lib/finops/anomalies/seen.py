"""Report once: what was told already is told again only when it has grown.

A detector that runs three times a day would otherwise tell of one forgotten instance three times a day, and be muted.
What was told is remembered by anomaly with its last day and its cost; the file can lie in a repository or in S3.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from course_lib.finops.anomalies.detect import Anomaly
from course_lib.finops.errors import FinopsError
from course_lib.runtime import whole_file

GROWTH = 1.5  # an anomaly is told again when its cost has grown by this factor


@dataclass(frozen=True)
class Seen:
    """What was told of an anomaly.

    Attributes:
        last: its last day then, ISO 8601.
        impact_usd: its cost then.
    """

    last: str
    impact_usd: float


def news(
    anomalies: Iterable[Anomaly], seen: dict[str, Seen], growth: float = GROWTH
) -> tuple[tuple[Anomaly, ...], dict[str, Seen]]:
    """What has to be told now, and what will then have been told.

    Args:
        anomalies: found now.
        seen: what was told before, by id; it is not changed.
        growth: factor of cost from which an anomaly is told again.

    Raises:
        FinopsError: for a growth of 1 or less, which would repeat everything.
    """
    if growth <= 1:
        raise FinopsError.of("growth", growth, "must be above 1", "give 1.5 to hear of it again at half as much more")
    told, after = [], dict(seen)
    for one in anomalies:
        before, last = seen.get(one.id), one.last.date().isoformat()
        if before is None or (last > before.last and one.impact_usd >= growth * before.impact_usd):
            told.append(one)
            after[one.id] = Seen(last, round(one.impact_usd, 2))
    return tuple(told), after


def load_seen(path: Path) -> dict[str, Seen]:
    """What was told before; nothing where there is no file yet.

    Raises:
        FinopsError: for a file that can't be read as such.
    """
    if not path.exists():
        return {}
    try:
        rows = json.loads(path.read_text()).items()
        found = {name: Seen(str(row["last"]), float(row["impact_usd"])) for name, row in rows}
        for row in found.values():
            date.fromisoformat(row.last)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FinopsError.of(
            "seen", path.name, f"is no record of anomalies ({type(error).__name__})", "delete it, and all are told anew"
        ) from error
    return found


def save_seen(path: Path, seen: dict[str, Seen]) -> None:
    """Write what was told, whole or not at all."""
    with whole_file(path) as part:
        part.write_text(json.dumps({name: asdict(row) for name, row in sorted(seen.items())}, indent=1) + "\n")
