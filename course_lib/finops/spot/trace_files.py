"""Read a learner's own records: the output of DescribeSpotPriceHistory, and a log of instances that came and went."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from course_lib.finops.spot.errors import SpotError, check_utc
from course_lib.finops.spot.outcomes import Estimate
from course_lib.finops.spot.traces import InterruptionTrace, PriceTrace

PRICE_COLUMNS = ("InstanceType", "AvailabilityZone", "ProductDescription", "SpotPrice", "Timestamp")
LOG_COLUMNS = ("launched_at", "ended_at", "interrupted")
LINUX = ("Linux/UNIX", "Linux/UNIX (Amazon VPC)")


def read_prices(path: str | Path, *, until: datetime | None = None) -> dict[tuple[str, str], PriceTrace]:
    """Read a price history from a file.

    Args:
        path: .json as `aws ec2 describe-spot-price-history` prints it, or .csv with the same names as columns.
        until: as for `prices_from_history`.

    Returns:
        (instance type, zone) → trace.

    Raises:
        SpotError: for a file of another kind, a missing column, a bad value (with its row), or no Linux row.
    """
    return prices_from_history(_rows(Path(path), "SpotPriceHistory", PRICE_COLUMNS), until=until, source=str(path))


def prices_from_history(
    rows: Iterable[Mapping[str, Any]], *, until: datetime | None = None, source: str = "DescribeSpotPriceHistory"
) -> dict[tuple[str, str], PriceTrace]:
    """Turn the rows of `SpotPriceHistory`, in any order, into one trace for each pool.

    Args:
        rows: as boto3 returns them, from all pages. Rows of other systems than Linux are left out.
        until: when the record was made, in UTC: the last price holds until then. None ends each trace at its last
            change, which loses the price that holds now.
        source: where the rows come from.

    Returns:
        (instance type, zone) → trace.

    Raises:
        SpotError: for a bad value (with its row), two prices at one moment, or no Linux row.

    Source: "DescribeSpotPriceHistory", Amazon EC2 API Reference: rows are changes of price, and the last change before
    the first moment asked for is among them.
    """
    if until is not None:
        check_utc("until", until)
    pools: dict[tuple[str, str], dict[datetime, float]] = {}
    for number, row in enumerate(rows, 1):
        _need(row, PRICE_COLUMNS, number)
        if row["ProductDescription"] not in LINUX:
            continue
        moment = _moment(row["Timestamp"], f"row {number}: Timestamp")
        changes = pools.setdefault((str(row["InstanceType"]), str(row["AvailabilityZone"])), {})
        price = _price(row["SpotPrice"], number)
        if changes.setdefault(moment, price) != price:
            raise SpotError.of(
                f"row {number}: SpotPrice", price, f"contradicts {changes[moment]}, same moment", "drop one"
            )
    if not pools:
        raise SpotError.of("rows", 0, "hold no price of Linux", f"ask for ProductDescriptions={[LINUX[0]]}")
    return {pool: _price_trace(pool, changes, until, source) for pool, changes in pools.items()}


def _price_trace(
    pool: tuple[str, str], changes: dict[datetime, float], until: datetime | None, source: str
) -> PriceTrace:
    moments = sorted(changes)
    if until is not None and until <= moments[-1]:
        raise SpotError.of("until", until.isoformat(), f"is not after {moments[-1].isoformat()}", "give a later one")
    if until is None and len(moments) == 1:
        raise SpotError.of("until", None, f"is needed: {pool} has one price", "say when the record was made")
    used = moments if until is not None else moments[:-1]
    start, end = moments[0], until or moments[-1]
    return PriceTrace(
        start=start,
        seconds=np.array([(moment - start).total_seconds() for moment in used]),
        usd_per_hour=np.array([changes[moment] for moment in used]),
        length_seconds=(end - start).total_seconds(),
        source=source,
        instance=pool[0],
        zone=pool[1],
    )


@dataclass(frozen=True)
class Session:
    """One spot instance of a log.

    Args:
        launched_at: in UTC.
        ended_at: in UTC.
        interrupted: True where EC2 took it back, False where its work was done or somebody stopped it.
    """

    launched_at: datetime
    ended_at: datetime
    interrupted: bool


@dataclass(frozen=True)
class InterruptionLog:
    """Spot instances of one pool, by launch.

    Args:
        sessions: sorted by launch.
        source: where they were read.
    """

    sessions: tuple[Session, ...]
    source: str

    def mean_seconds_between_interruptions(self) -> Estimate:
        """Uptime of all instances over interruptions: the likeliest M of an exponential process.

        Instances that ended well count with their whole uptime: they survived that long. Leaving them out, or taking
        the mean life of the interrupted ones alone, makes the market look worse than it is.

        Raises:
            SpotError: when nothing was interrupted, so that the log gives a lower bound only.

        Source: Lawless 2003, "Statistical Models and Methods for Lifetime Data"; error M / sqrt(count).
        """
        uptime = sum((session.ended_at - session.launched_at).total_seconds() for session in self.sessions)
        count = sum(session.interrupted for session in self.sessions)
        if not count:
            remedy = f"watch longer; with 95 % confidence M is above {uptime / 3:.3g} s (the rule of three)"
            raise SpotError.of("interrupted", 0, "interruptions can't be turned into a rate", remedy)
        return Estimate(uptime / count, uptime / count / math.sqrt(count))

    @property
    def waits_seconds(self) -> tuple[float, ...]:
        """Time from each interruption to the next launch, for `SampledWait`."""
        pairs = zip(self.sessions, self.sessions[1:], strict=False)
        gaps = [(after.launched_at - one.ended_at).total_seconds() for one, after in pairs if one.interrupted]
        return tuple(max(gap, 0.0) for gap in gaps)

    def trace(self) -> InterruptionTrace:
        """The moments of interruption, for `ReplayedInterruptions`.

        Raises:
            SpotError: when there is none.
        """
        start = self.sessions[0].launched_at
        ends = sorted({session.ended_at for session in self.sessions if session.interrupted})
        last = max(session.ended_at for session in self.sessions)
        length = math.nextafter((last - start).total_seconds(), math.inf)  # the last moment is inside
        return InterruptionTrace(start, np.array([(e - start).total_seconds() for e in ends]), length, self.source)


def read_interruptions(path: str | Path) -> InterruptionLog:
    """Read a log of spot instances.

    Args:
        path: .csv or .json (a list of objects) with launched_at, ended_at (UTC) and interrupted (true or false).

    Returns:
        The log, sorted by launch.

    Raises:
        SpotError: for a file of another kind, a missing column, a bad value (with its row), or an empty log.
    """
    rows = _rows(Path(path), "sessions", LOG_COLUMNS)
    sessions = []
    for number, row in enumerate(rows, 1):
        _need(row, LOG_COLUMNS, number)
        begin, end = (_moment(row[name], f"row {number}: {name}") for name in LOG_COLUMNS[:2])
        if end <= begin:
            raise SpotError.of(
                f"row {number}: ended_at", end.isoformat(), "is not after launched_at", "correct the row"
            )
        said = str(row["interrupted"]).strip().lower()
        if said not in ("true", "false"):
            raise SpotError.of(f"row {number}: interrupted", row["interrupted"], "is neither true nor false", "say one")
        sessions.append(Session(begin, end, said == "true"))
    if not sessions:
        raise SpotError.of("path", str(path), "holds no session", "log every launch and its end")
    return InterruptionLog(tuple(sorted(sessions, key=lambda session: session.launched_at)), str(path))


def _rows(path: Path, key: str, columns: tuple[str, ...]) -> list[Mapping[str, Any]]:
    if path.suffix == ".csv":
        try:
            with path.open(newline="", encoding="utf-8") as lines:
                return list(csv.DictReader(lines))
        except (UnicodeDecodeError, csv.Error) as error:
            remedy = "save it as CSV in UTF-8"
            raise SpotError.of("path", str(path), f"is not CSV ({error})", remedy) from error
    if path.suffix != ".json":
        raise SpotError.of("path", str(path), "is neither .csv nor .json", f"save it with the names {list(columns)}")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SpotError.of(
            "path", str(path), f"is not JSON ({error})", "save the command's output unchanged"
        ) from error
    rows = data.get(key) if isinstance(data, dict) else data
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise SpotError.of(
            "path", str(path), f"holds no list {key!r} of objects", "save the command's output unchanged"
        )
    return rows


def _need(row: Mapping[str, Any], columns: tuple[str, ...], number: int) -> None:
    if missing := [name for name in columns if row.get(name) in (None, "")]:
        raise SpotError.of(f"row {number}", dict(row), f"lacks {missing}", f"give all of {list(columns)}")


def _moment(value: object, name: str) -> datetime:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as error:
        raise SpotError.of(name, value, "is no moment", "write it as 2026-11-26T14:00:00Z") from error
    return check_utc(name, moment)


def _price(value: object, number: int) -> float:
    try:
        price = float(str(value))
    except ValueError:
        price = math.nan
    if not (math.isfinite(price) and price > 0):
        raise SpotError.of(f"row {number}: SpotPrice", value, "must be a number above 0", "drop the row, or correct it")
    return price
