"""EventBridge Scheduler's clockwork: moto keeps schedules and never fires them; this does, at their time.

Covered: at(), rate() and cron() expressions, time zones, start and end dates, flexible windows, ActionAfterCompletion,
retries with their limits, dead letter queues, and as targets every API call (`aws-sdk`), SQS queues, SNS topics and
Lambda functions. A schedule with any other target leaves an entry in the ledger that says so. Source:
https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from course_lib.finops.cloud.schedule_times import due, following
from course_lib.finops.cloud.wire import code_of

FIRST_RETRY = timedelta(
    minutes=1
)  # doubled at each try; AWS publishes the limits and "exponential backoff", not the steps

# Makes a boto3 client for a service and region.
Clients = Callable[[str, str], Any]
# Writes what happened: the schedule, what came of it.
Tell = Callable[[Any, str, int, str], None]


@dataclass
class _Try:
    """An invocation that has failed so far."""

    schedule: Any
    first: datetime
    next: datetime
    tries: int = 1


@dataclass
class Schedules:
    """When the account's schedules fire, and what happens then."""

    clients: Clients
    tell: Tell
    asleep: bool = False  # a fault: a scheduler that doesn't work
    _fired: dict[str, tuple[Any, datetime]] = field(default_factory=dict)  # by ARN: the schedule, its last time
    _failing: list[_Try] = field(default_factory=list)

    def next_due(self) -> datetime | None:
        """The earliest time of any schedule or retry."""
        if self.asleep:
            return None
        times = [due(schedule, time) for _, schedule, time in self._waiting()] + [
            failed.next for failed in self._failing
        ]
        return min(times, default=None)

    def happen(self, now: datetime) -> None:
        """Fire what is due, and try again what failed."""
        if self.asleep:  # asked at another source's moment
            return
        again = [failed for failed in self._failing if failed.next <= now]
        self._failing = [failed for failed in self._failing if failed.next > now]
        for failed in again:
            self._fire(failed.schedule, failed.first, now, failed.tries + 1)
        for region, schedule, time in list(self._waiting()):
            if due(schedule, time) <= now:
                self._fired[schedule.arn] = (schedule, time)
                self._fire(schedule, time, now, 1)
                if following(schedule, time) is None and schedule.action_after_completion == "DELETE":
                    self.clients("scheduler", region).delete_schedule(Name=schedule.name, GroupName=schedule.group_name)

    def _waiting(self) -> Iterator[tuple[str, Any, datetime]]:
        from moto.scheduler.models import scheduler_backends

        for _, regions in list(scheduler_backends.items()):
            for region, backend in list(regions.items()):
                for group in list(backend.schedule_groups.values()):
                    for schedule in list(group.schedules.values()):
                        if schedule.state != "ENABLED":
                            continue
                        known, last = self._fired.get(schedule.arn, (None, None))
                        time = following(schedule, last if known is schedule else None)
                        if time is not None:
                            yield region, schedule, time

    def _fire(self, schedule: Any, first: datetime, now: datetime, tries: int) -> None:
        region = schedule.arn.split(":")[3]
        try:
            self._invoke(schedule.target, region)
        except Exception as error:  # noqa: BLE001 - whatever a target answers counts as a failed try
            code = code_of(error)
            self.tell(schedule, f"try {tries} failed: {error}", 400, code)
            self._after_failure(schedule, first, now, tries, region)
        else:
            self.tell(schedule, f"fired at try {tries}", 200, "")

    def _after_failure(self, schedule: Any, first: datetime, now: datetime, tries: int, region: str) -> None:
        policy = schedule.target["RetryPolicy"]
        wait = FIRST_RETRY * 2 ** min(tries - 1, 10)
        oldest = timedelta(seconds=policy.get("MaximumEventAgeInSeconds", 86400))
        if tries <= policy.get("MaximumRetryAttempts", 185) and now + wait - first <= oldest:
            self._failing.append(_Try(schedule, first, now + wait, tries))
        elif queue := schedule.target.get("DeadLetterConfig", {}).get("Arn"):
            body = json.dumps({"schedule": schedule.arn, "input": schedule.target.get("Input", "")})
            self._send(queue, body)

    def _invoke(self, target: dict[str, Any], region: str) -> None:
        arn, text = target["Arn"], target.get("Input", "{}")
        if found := re.fullmatch(r"arn:[\w-]+:scheduler:::aws-sdk:([\w-]+):(\w+)", arn):
            from botocore import xform_name

            service, action = found.groups()
            getattr(self.clients(service, region), xform_name(action[0].upper() + action[1:]))(**json.loads(text))
        elif arn.split(":")[2] == "sqs":
            self._send(arn, text)
        elif arn.split(":")[2] == "sns":
            self.clients("sns", arn.split(":")[3]).publish(TopicArn=arn, Message=text)
        elif arn.split(":")[2] == "lambda":
            functions = self.clients("lambda", arn.split(":")[3])
            functions.invoke(FunctionName=arn, InvocationType="Event", Payload=text.encode())
        else:
            raise NotImplementedError(f"the practice account can't invoke {arn}: use aws-sdk, SQS, SNS or Lambda")

    def _send(self, queue_arn: str, body: str) -> None:
        _, _, _, region, account, name = queue_arn.split(":")
        queue = self.clients("sqs", region)
        url = queue.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
        queue.send_message(QueueUrl=url, MessageBody=body)
