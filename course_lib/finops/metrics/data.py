"""What a training run tells CloudWatch, and the batches in which it goes there.

A request of PutMetricData holds 1,000 metrics and 1 MB at most. Resolution 1 keeps single seconds for three hours;
each metric, that is each name with each set of dimensions, costs money by the month, so a run's own id is no
dimension here. Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

from course_lib.finops.aws import Clients, one_line
from course_lib.finops.errors import FinopsError
from course_lib.finops.usage import Running

NAMESPACE = "TrainingAtScale"
MOST, BYTES = 1000, 1_000_000  # of one request
DIMENSIONS, LONGEST = 30, 1024  # of one metric, and characters of a value
UNITS = {
    "Bytes",
    "Count",
    "Count/Second",
    "Milliseconds",
    "None",
    "Percent",
    "Seconds",
}
HEARTBEAT, USE, TOKENS, MFU, USD = "Heartbeat", "AcceleratorUse", "TokensPerSecond", "MFU", "UsdPerHour"
UNTAGGED = "(none)"


class MetricError(FinopsError):
    """A metric or an alarm that CloudWatch would refuse, or that could never fire."""


@dataclass(frozen=True)
class Datum:
    """One value of one metric.

    Attributes:
        name: of the metric.
        value: finite.
        unit: of UNITS.
        time: with a time zone.
        dimensions: such as {"InstanceId": "i-0abc", "project": "bert"}.
        resolution: 60, or 1 for single seconds.

    Raises:
        MetricError: for anything that CloudWatch would refuse.
    """

    name: str
    value: float
    unit: str
    time: datetime
    dimensions: Mapping[str, str] = field(default_factory=dict)
    resolution: int = 60

    def __post_init__(self) -> None:
        if not self.name or len(self.name) > 255:
            raise MetricError.of("name", self.name[:40], "must have 1 to 255 characters", "name it")
        if not math.isfinite(self.value) or abs(self.value) > 2**360:
            raise MetricError.of(self.name, self.value, "must be a finite number", "leave out what was not measured")
        if self.unit not in UNITS:
            raise MetricError.of("unit", self.unit, "is not known", f"choose one of {', '.join(sorted(UNITS))}")
        if self.time.tzinfo is None:
            raise MetricError.of("time", self.time.isoformat(), "names no time zone", "add +00:00 for UTC")
        if len(self.dimensions) > DIMENSIONS or not all(self.dimensions.values()):
            raise MetricError.of(
                "dimensions",
                dict(self.dimensions),
                f"must be at most {DIMENSIONS}, none of them empty",
                "leave some out",
            )
        for name, value in self.dimensions.items():
            if len(value) > LONGEST or dimension(value) != value.strip():
                limit = f"must be ASCII without controls, at most {LONGEST} characters"
                raise MetricError.of(f"dimension {name}", value[:40], limit, "give dimension(value)")
        if self.resolution not in (1, 60):
            raise MetricError.of("resolution", self.resolution, "must be 1 or 60 seconds", "choose one of them")

    def asked(self) -> dict[str, Any]:
        """As boto3 wants it."""
        return {
            "MetricName": self.name,
            "Value": float(self.value),
            "Unit": self.unit,
            "Timestamp": self.time.astimezone(UTC),
            "Dimensions": [{"Name": name, "Value": value} for name, value in self.dimensions.items()],
            "StorageResolution": self.resolution,
        }


@dataclass(frozen=True)
class TrainingBeat:
    """What a training run knows about itself at a moment.

    Attributes:
        time: with a time zone.
        instance: its instance's id.
        tokens_per_second, mfu, use: throughput, model FLOPs utilization and the accelerators' use, both fractions; None
            where it was not measured.
        usd_per_hour: what the instance costs; None where nobody knows.
    """

    time: datetime
    instance: str
    tokens_per_second: float | None = None
    mfu: float | None = None
    use: float | None = None
    usd_per_hour: float | None = None


def training_data(beat: TrainingBeat, *, resolution: int = 60) -> list[Datum]:
    """A beat as metrics: always a heartbeat, and what was measured.

    Each has the dimension InstanceId, which an alarm that stops or terminates the instance needs.

    Raises:
        MetricError: for a fraction outside of 0 to 1, or a number that is none.
    """
    for name, value in (("mfu", beat.mfu), ("use", beat.use)):
        if value is not None and not 0 <= value <= 1:
            raise MetricError.of(name, value, "must be a fraction from 0 to 1", "divide a percentage by 100")
    found = [
        (HEARTBEAT, 1.0, "Count"),
        (TOKENS, beat.tokens_per_second, "Count/Second"),
        (MFU, _percent(beat.mfu), "Percent"),
        (USE, _percent(beat.use), "Percent"),
        (USD, beat.usd_per_hour, "None"),
    ]
    one = {"InstanceId": beat.instance}
    return [Datum(name, value, unit, beat.time, one, resolution) for name, value, unit in found if value is not None]


def spend_data(running: Running) -> list[Datum]:
    """USD per hour of each project, from what runs now: for a job that looks every few minutes.

    An instance can't send this: CloudWatch would add or average what several instances send, by how often they do. A
    project none of whose prices is known has no metric, rather than 0.
    """
    unknown = running.unknown("project")
    return [
        Datum(USD, usd, "None", running.now, {"project": dimension(project)})
        for (project,), usd in running.by("project").items()
        if (project,) not in unknown
    ]


def dimension(text: str) -> str:
    """A tag's value as CloudWatch takes it: ASCII without controls, 1 to 1024 characters.

    One value that it refuses takes the whole request with it, and then every project's alarm is without data.
    """
    told = text.strip().encode("ascii", "backslashreplace").decode()
    return re.sub(r"[\x00-\x1f\x7f]", "?", told)[:LONGEST] or UNTAGGED


@dataclass(frozen=True)
class Sent:
    """What was sent: metrics, and requests that it took."""

    data: int
    requests: int


def send(account: Clients, data: Iterable[Datum], *, namespace: str = NAMESPACE, region: str | None = None) -> Sent:
    """Send metrics to CloudWatch in as few requests as it permits.

    Raises:
        AwsError: when CloudWatch refuses one, in one line; those before it are there.
    """
    cloudwatch = account.client("cloudwatch", region=region)
    total = requests = 0
    for batch in batches(data):
        with one_line(f"sending {len(batch)} metrics to CloudWatch"):
            cloudwatch.put_metric_data(Namespace=namespace, MetricData=[datum.asked() for datum in batch])
        total, requests = total + len(batch), requests + 1
    return Sent(total, requests)


def batches(data: Iterable[Datum], most: int = MOST, most_bytes: int = BYTES) -> Iterator[list[Datum]]:
    """The data in batches of at most so many metrics and bytes, in order."""
    batch: list[Datum] = []
    filled = 0
    for datum in data:
        size = wire_size(datum)
        if batch and (len(batch) == most or filled + size > most_bytes):
            yield batch
            batch, filled = [], 0
        batch.append(datum)
        filled += size
    if batch:
        yield batch


def wire_size(datum: Datum) -> int:
    """Bytes of a datum in a request of the query protocol, the longest that boto3 may choose, from above."""
    per_field = len("&MetricData.member.1000.Dimensions.member.30.Value=")
    texts = [datum.name, datum.unit, str(datum.value), datum.time.isoformat(), str(datum.resolution)]
    texts += [text for pair in datum.dimensions.items() for text in pair]
    return sum(per_field + len(quote_plus(text)) for text in texts)


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction
