"""Alarms that end what nobody uses: planned first, then written, and nothing is written twice.

Three for each instance: its accelerators idle (stop or terminate it), its heartbeat gone (a hung process sends nothing,
and no data is no low value: missing data have to breach), and one for the project: USD per hour above what was planned.
A new heartbeat alarm without any data would fire at its first look, while the machine still boots; so the first beat is
part of the plan, and booting has as long as the alarm's patience. Source:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from course_lib.finops.aws import Clients, aws_now, one_line, pages
from course_lib.finops.metrics.data import HEARTBEAT, NAMESPACE, USD, USE, Datum, MetricError, dimension, send

End = Literal["terminate", "stop"]
PREFIX = "training"
LONGEST = timedelta(days=1)  # of period times periods, for periods below an hour
COMPARED = (
    "Namespace",
    "MetricName",
    "Dimensions",
    "Statistic",
    "Period",
    "EvaluationPeriods",
    "DatapointsToAlarm",
    "Threshold",
    "ComparisonOperator",
    "TreatMissingData",
    "AlarmActions",
    "AlarmDescription",
    "ActionsEnabled",
)


@dataclass(frozen=True)
class Watch:
    """What to watch.

    Attributes:
        instance: its id.
        region: where it runs.
        project: who pays.
        end: what an idle or silent instance gets: "terminate", or "stop", whose disk still costs money.
        idle_below: use as a fraction below which it counts as idle.
        idle_for, silent_for: for how long.
        usd_per_hour: what the project may spend; None for no such alarm.
        topic: ARN of an SNS topic that is told as well; needed for the project's alarm.
        period: seconds of one look: 10 or 30 for metrics of single seconds, else a multiple of 60.
    """

    instance: str
    region: str
    project: str
    end: End = "terminate"
    idle_below: float = 0.05
    idle_for: timedelta = timedelta(minutes=30)
    silent_for: timedelta = timedelta(minutes=15)
    usd_per_hour: float | None = None
    topic: str | None = None
    period: int = 300


@dataclass(frozen=True)
class AlarmChange:
    """One alarm of a plan.

    Attributes:
        name: the alarm's.
        action: "create", "change" or "keep".
        asked: the parameters of PutMetricAlarm.
        differs: names of the parameters in which an existing alarm differs.
    """

    name: str
    action: Literal["create", "change", "keep"]
    asked: dict[str, Any]
    differs: tuple[str, ...] = ()


@dataclass(frozen=True)
class AlarmPlan:
    """Alarms to be written.

    Attributes:
        watch: what was asked for.
        now: AWS's time.
        changes: one for each alarm.
        namespace: of the metrics.
    """

    watch: Watch
    now: datetime
    changes: tuple[AlarmChange, ...]
    namespace: str

    @property
    def first_beat(self) -> Datum | None:
        """The heartbeat that goes before a new heartbeat alarm."""
        for change in self.changes:
            if change.action == "create" and change.asked["MetricName"] == HEARTBEAT:
                return Datum(HEARTBEAT, 1.0, "Count", self.now, {"InstanceId": self.watch.instance})
        return None

    def __str__(self) -> str:
        rows = [f"alarms for {self.watch.instance} in {self.watch.region}"]
        if self.first_beat:
            rows.append(f"send   the first {HEARTBEAT}, from which the silence is counted")
        for change in self.changes:
            asked = change.asked
            minutes = asked["Period"] * asked["EvaluationPeriods"] / 60
            sign = {"LessThanThreshold": "<", "GreaterThanThreshold": ">"}[asked["ComparisonOperator"]]
            rule = f"{asked['Statistic']} {asked['MetricName']} {sign} {asked['Threshold']:g} for {minutes:g} min"
            does = ", ".join(one.rpartition(":")[2] for one in asked["AlarmActions"])
            why = f" ({', '.join(change.differs)})" if change.differs else ""
            missing = f"no data: {asked['TreatMissingData']}"
            rows.append(f"{change.action:6} {change.name}: {rule}, {missing} -> {does}{why}")
        return "\n".join(rows)


def plan_alarms(account: Clients, watch: Watch, *, namespace: str = NAMESPACE) -> AlarmPlan:
    """Say which alarms would be created, changed or kept; changes nothing.

    Raises:
        MetricError: for a period that CloudWatch doesn't know, times that are no multiple of it or above a day, a
            fraction that is none, or a spend alarm without a topic.
        AwsError: when CloudWatch can't be asked.
    """
    wanted = _wanted(watch, namespace)
    client = account.client("cloudwatch", region=watch.region)
    names = [asked["AlarmName"] for asked in wanted]
    there = {
        found["AlarmName"]: found
        for page in pages(client, "describe_alarms", f"reading alarms in {watch.region}", AlarmNames=names)
        for found in page["MetricAlarms"]
    }
    return AlarmPlan(watch, aws_now(account), tuple(_change(one, there) for one in wanted), namespace)


def apply_alarms(account: Clients, plan: AlarmPlan) -> AlarmPlan:
    """Write what a plan creates and changes, and read it back; a second time it changes nothing.

    Returns:
        The plan that is left; all of it "keep".

    Raises:
        AwsError: when CloudWatch refuses one; those before it are there, and applying again goes on.
    """
    client = account.client("cloudwatch", region=plan.watch.region)
    if plan.first_beat:
        send(account, [plan.first_beat], namespace=plan.namespace, region=plan.watch.region)
    for change in plan.changes:
        if change.action != "keep":
            with one_line(f"writing the alarm {change.name}"):
                client.put_metric_alarm(**change.asked)
    return plan_alarms(account, plan.watch, namespace=plan.namespace)


def _wanted(watch: Watch, namespace: str) -> list[dict[str, Any]]:
    if watch.period not in (10, 30) and (watch.period < 60 or watch.period % 60):
        raise MetricError.of("period", watch.period, "must be 10, 30 or a multiple of 60 seconds", "give 60 or 300")
    if not 0 < watch.idle_below <= 1:
        raise MetricError.of("idle_below", watch.idle_below, "must be a fraction above 0", "give 0.05 for 5 %")
    if watch.end not in ("terminate", "stop"):
        raise MetricError.of("end", watch.end, "is none of terminate, stop", "choose one of them")
    end = f"arn:aws:automate:{watch.region}:ec2:{watch.end}"
    actions = [end, *([watch.topic] if watch.topic else [])]
    one = [{"Name": "InstanceId", "Value": watch.instance}]
    idle = _alarm(watch, namespace, "idle", USE, one, actions, watch.idle_for)
    idle |= {
        "Statistic": "Maximum",  # one busy accelerator in the period is work
        "Threshold": 100 * watch.idle_below,
        "ComparisonOperator": "LessThanThreshold",
        "TreatMissingData": "missing",
        "AlarmDescription": f"idle accelerators: {watch.end} {watch.instance}",
    }
    silent = _alarm(watch, namespace, "silent", HEARTBEAT, one, actions, watch.silent_for)
    silent |= {
        "Statistic": "SampleCount",
        "Threshold": 1.0,
        "ComparisonOperator": "LessThanThreshold",
        "TreatMissingData": "breaching",
        "AlarmDescription": f"no heartbeat: {watch.end} {watch.instance}",
    }
    if watch.usd_per_hour is None:
        return [idle, silent]
    MetricError.check_positive("usd_per_hour", watch.usd_per_hour)
    if not watch.topic:
        raise MetricError.of("topic", watch.topic, "is missing, and a spend alarm has to tell somebody", "give its ARN")
    project = [{"Name": "project", "Value": dimension(watch.project)}]
    beats = timedelta(seconds=watch.period)
    spend = _alarm(watch, namespace, "spend", USD, project, [watch.topic], beats)
    spend |= {
        "AlarmName": f"{PREFIX}-spend-{watch.project}",
        "Statistic": "Maximum",
        "Threshold": float(watch.usd_per_hour),
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        "AlarmDescription": f"{watch.project} spends more than {watch.usd_per_hour:g} USD an hour",
    }
    return [idle, silent, spend]


def _alarm(
    watch: Watch,
    namespace: str,
    kind: str,
    metric: str,
    dimensions: list[dict[str, str]],
    actions: list[str],
    lasting: timedelta,
) -> dict[str, Any]:
    periods, rest = divmod(lasting.total_seconds(), watch.period)
    if rest or periods < 1 or lasting > LONGEST:
        raise MetricError.of(
            f"{kind}_for", str(lasting), f"must be a multiple of {watch.period} s, up to a day", "choose another one"
        )
    return {
        "AlarmName": f"{PREFIX}-{kind}-{watch.instance}",
        "Namespace": namespace,
        "MetricName": metric,
        "Dimensions": dimensions,
        "Period": watch.period,
        "EvaluationPeriods": int(periods),
        "DatapointsToAlarm": int(periods),
        "AlarmActions": actions,
        "ActionsEnabled": True,
    }


def _change(asked: dict[str, Any], there: dict[str, Any]) -> AlarmChange:
    name = asked["AlarmName"]
    if name not in there:
        return AlarmChange(name, "create", asked)
    found = there[name]
    differs = tuple(key for key in COMPARED if found.get(key) != asked[key])
    return AlarmChange(name, "change" if differs else "keep", asked, differs)
