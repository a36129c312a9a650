"""CloudWatch's alarms: moto keeps them and never looks; this evaluates each at its period and carries out its actions.

Covered: alarms on one metric with Average, Sum, Minimum, Maximum or SampleCount, M of N datapoints, missing data, and
as actions SNS topics and EC2's stop, terminate and reboot. A new alarm has INSUFFICIENT_DATA until there are data. Not
covered: metric maths, composite alarms and percentiles, which stay as they are. Source:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from course_lib.finops.cloud.schedules import Clients
from course_lib.finops.cloud.wire import code_of

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
STATISTICS = ("Average", "Sum", "Minimum", "Maximum", "SampleCount")
EXTRA = 2  # periods before the last N in which datapoints are looked for when some are missing, as in AWS's tables
EC2_ACTION = re.compile(r"arn:[\w-]+:automate:([\w-]+):ec2:(stop|terminate|reboot)")
Tell = Callable[[str, str, dict[str, Any], int, str], None]  # region, what happened, details, status, error


def judge(breaches: list[bool], periods: int, needed: int, treat: str, state: str) -> str:
    """The state that datapoints give an alarm.

    Args:
        breaches: of the datapoints that there are, at most `periods`, whether each breaches the threshold.
        periods: datapoints that count, N.
        needed: how many of them must breach, M.
        treat: what missing ones count as: "missing", "ignore", "breaching" or "notBreaching".
        state: what the alarm has.

    Returns:
        "OK", "ALARM" or "INSUFFICIENT_DATA".

    Source: the tables in
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
    """
    bad, lacking = sum(breaches), periods - len(breaches)
    if treat == "breaching":
        return "ALARM" if bad + lacking >= needed else "OK"
    if treat == "notBreaching" or not lacking:
        return "ALARM" if bad >= needed else "OK"
    if treat == "ignore":
        if bad >= needed:
            return "ALARM"
        return "OK" if bad + lacking < needed else state  # the missing ones would decide
    if not breaches:
        return "INSUFFICIENT_DATA"
    return "ALARM" if bad >= min(needed, len(breaches)) else "OK"


@dataclass
class Alarms:
    """When the account's alarms are looked at, and what follows."""

    clients: Clients
    now: Callable[[], datetime]
    tell: Tell
    _looked: dict[str, tuple[Any, datetime]] = field(default_factory=dict)  # by ARN: the alarm, its last look

    def next_due(self) -> datetime | None:
        """The earliest moment at which an alarm is to be looked at."""
        return min((time for _, _, time in self._waiting()), default=None)

    def happen(self, now: datetime) -> None:
        """Look at every alarm whose time has come."""
        for region, alarm, time in list(self._waiting()):
            if time <= now:
                self._looked[alarm.alarm_arn] = (alarm, time)
                self._look(region, alarm, now)

    def _waiting(self) -> Iterator[tuple[str, Any, datetime]]:
        from moto.cloudwatch.models import cloudwatch_backends

        for _, regions in list(cloudwatch_backends.items()):
            for region, backend in list(regions.items()):
                for alarm in list(backend.alarms.values()):
                    if alarm.statistic not in STATISTICS or not alarm.metric_name or not alarm.period:
                        continue
                    known, last = self._looked.get(alarm.alarm_arn, (None, self.now()))
                    if known is not alarm:  # new, or put again with other settings
                        alarm.state_value, last = "INSUFFICIENT_DATA", self.now()
                        self._looked[alarm.alarm_arn] = (alarm, last)
                    yield region, alarm, last + timedelta(seconds=max(60, int(alarm.period)))

    def _look(self, region: str, alarm: Any, now: datetime) -> None:
        state, reason = self._state(region, alarm, now)
        if state == alarm.state_value:
            return
        before = alarm.state_value
        alarm.update_state(reason, "{}", state)
        self.tell(region, "alarm", {"AlarmName": alarm.name, "from": before, "to": state, "why": reason}, 200, "")
        if alarm.actions_enabled:
            actions = {"ALARM": alarm.alarm_actions, "OK": alarm.ok_actions}
            for action in actions.get(state, alarm.insufficient_data_actions) or ():
                self._act(region, alarm, action, before, state, reason)

    def _state(self, region: str, alarm: Any, now: datetime) -> tuple[str, str]:
        """The state that the last periods give, and why."""
        seconds, periods = int(alarm.period), int(alarm.evaluation_periods)
        end = datetime.fromtimestamp(now.timestamp() // seconds * seconds, UTC)
        told = self.clients("cloudwatch", region).get_metric_statistics(
            Namespace=alarm.namespace,
            MetricName=alarm.metric_name,
            Dimensions=[{"Name": one.name, "Value": one.value} for one in alarm.dimensions],
            StartTime=end - (periods + EXTRA) * timedelta(seconds=seconds),
            EndTime=end,
            Period=seconds,
            Statistics=[alarm.statistic],
        )
        points = sorted(told["Datapoints"], key=lambda point: point["Timestamp"])
        values = [point[alarm.statistic] for point in points][-periods:]
        breaches = [COMPARE[alarm.comparison_operator](value, alarm.threshold) for value in values]
        needed, treat = int(alarm.datapoints_to_alarm or periods), alarm.treat_missing_data or "missing"
        state = judge(breaches, periods, needed, treat, alarm.state_value)
        return (
            state,
            f"{sum(breaches)} of {values} {alarm.comparison_operator} {alarm.threshold}; missing data: {treat}",
        )

    def _act(self, region: str, alarm: Any, action: str, before: str, state: str, reason: str) -> None:
        try:
            if found := EC2_ACTION.fullmatch(action):
                ids = [one.value for one in alarm.dimensions if one.name == "InstanceId"]
                ec2 = self.clients("ec2", found[1])
                getattr(ec2, f"{found[2]}_instances")(InstanceIds=ids)
            elif ":sns:" in action:
                message = {"AlarmName": alarm.name, "OldStateValue": before, "NewStateValue": state}
                words = json.dumps({**message, "NewStateReason": reason, "AlarmArn": alarm.alarm_arn})
                sns = self.clients("sns", action.split(":")[3])
                sns.publish(TopicArn=action, Subject=f'{state}: "{alarm.name}"', Message=words)
            else:
                raise NotImplementedError(f"the practice account can't carry out {action}: use SNS, or ec2:stop")
        except Exception as error:  # noqa: BLE001 - an action that fails is told, and the alarm goes on
            code = code_of(error)
            self.tell(region, "action", {"AlarmName": alarm.name, "action": action, "why": str(error)}, 400, code)
