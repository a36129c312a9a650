"""How busy instances were, from CloudWatch: the accelerators' own figures where an agent sends them, else the CPU's.

A training job may leave the CPU idle while the chips work, so the CPU alone never proves that a chip is too large.
Sources: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html and, for the agent's
GPU figures, https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-Agent-NVIDIA-GPU.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from course_lib.finops.aws import Clients, pages
from course_lib.finops.metrics import NAMESPACE

BATCH = 500  # queries in one GetMetricData
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Metric:
    """A metric in percent with InstanceId among its dimensions.

    Attributes:
        namespace, name: CloudWatch's.
        of_chips: whether it tells of the accelerators.
    """

    namespace: str
    name: str
    of_chips: bool = False


CPU = Metric("AWS/EC2", "CPUUtilization")
METRICS = (
    CPU,
    Metric(NAMESPACE, "AcceleratorUse", of_chips=True),  # what `metrics.training_data` sends
    Metric("CWAgent", "nvidia_smi_utilization_gpu", of_chips=True),
    Metric("CWAgent", "neuroncore_utilization", of_chips=True),
)


@dataclass(frozen=True)
class Usage:
    """How busy one instance was, by one metric, the busiest of its chips counting.

    Attributes:
        metric: which.
        hours: with at least one data point.
        mean, highest: fractions of 1: the mean of the hourly means, and the highest value of any moment.
    """

    metric: Metric
    hours: int
    mean: float
    highest: float


def utilization(
    account: Clients, region: str, start: datetime, end: datetime, metrics: Sequence[Metric] = METRICS
) -> dict[str, list[Usage]]:
    """Instance id → how busy it was, one entry for each metric that has data.

    Args:
        account: whose clients to use.
        region: where.
        start, end: the time, with time zones; the end is not part of it.
        metrics: in percent.

    Raises:
        AwsError: when CloudWatch refuses.
    """
    watch = account.client("cloudwatch", region=region)
    series = [
        (dimensions["InstanceId"], metric, told)
        for metric in metrics
        for told in _listed(watch, metric, region)
        if "InstanceId" in (dimensions := {one["Name"]: one["Value"] for one in told["Dimensions"]})
    ]
    hourly: dict[tuple[str, Metric], dict[datetime, tuple[float, float]]] = defaultdict(dict)
    for index, which, times, values in _read(watch, series, start, end, region):
        instance, metric, _ = series[index]
        of = hourly[instance, metric]
        for time, value in zip(times, values, strict=True):
            mean, highest = of.get(time, (0.0, 0.0))
            of[time] = (max(mean, value), highest) if which == "a" else (mean, max(highest, value))
    found: dict[str, list[Usage]] = defaultdict(list)
    for (instance, metric), by_hour in hourly.items():
        means = [mean for mean, _ in by_hour.values()]
        highest = max(value for _, value in by_hour.values())
        found[instance].append(Usage(metric, len(means), sum(means) / len(means) / 100, highest / 100))
    return dict(found)


def _listed(watch: Any, metric: Metric, region: str) -> Iterator[dict[str, Any]]:
    asked = {"Namespace": metric.namespace, "MetricName": metric.name}
    for page in pages(watch, "list_metrics", f"listing {metric.name} in {region}", **asked):
        yield from page["Metrics"]


def _read(
    watch: Any, series: Sequence[tuple[str, Metric, dict[str, Any]]], start: datetime, end: datetime, region: str
) -> Iterator[tuple[int, str, list[datetime], list[float]]]:
    queries = [
        {
            "Id": f"{letter}{index}",
            "MetricStat": {
                "Metric": {name: told[name] for name in ("Namespace", "MetricName", "Dimensions")},
                "Period": int(HOUR.total_seconds()),
                "Stat": statistic,
            },
        }
        for index, (_, _, told) in enumerate(series)
        for letter, statistic in (("a", "Average"), ("m", "Maximum"))
    ]
    for batch in _batches(queries):
        doing = f"reading utilization in {region}"
        asked = {"MetricDataQueries": batch, "StartTime": start, "EndTime": end}
        for page in pages(watch, "get_metric_data", doing, **asked):
            for result in page["MetricDataResults"]:
                yield int(result["Id"][1:]), result["Id"][0], result["Timestamps"], result["Values"]


def _batches(queries: list[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    return (queries[first : first + BATCH] for first in range(0, len(queries), BATCH))
