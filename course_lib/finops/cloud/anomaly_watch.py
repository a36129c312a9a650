"""Cost Anomaly Detection's clockwork: monitors are evaluated once a day, and subscribers are told.

Unlike AWS's, a new monitor's first evaluation looks at the 90 days before it, so that an account with a past has
something to show. What counts as an anomaly is `anomaly_rule`'s. Source of the rest:
https://docs.aws.amazon.com/cost-management/latest/userguide/manage-ad.html
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from course_lib.finops.cloud.alarms import Tell
from course_lib.finops.cloud.anomaly_rule import Spell, spells
from course_lib.finops.cloud.cost_explorer import DELAY, keeping
from course_lib.finops.cloud.costs import Line
from course_lib.finops.cloud.daily import DAY, daily_lines, midnight, series
from course_lib.finops.cloud.meter import Meter
from course_lib.finops.cloud.schedules import Clients
from course_lib.finops.cloud.wire import code_of

HOUR_OF_DAY = timedelta(hours=12)  # UTC; AWS says "approximately three times a day" and promises no hour
KEPT = 90  # days
LOOK_BACK = KEPT + 56  # days whose spend is needed to judge the last 90
_NAMES = UUID("3b0a7f6e-1d2c-4c56-9a51-5f6c1e7ad9b2")


@dataclass
class AnomalyWatch:
    """The account's monitors, its subscriptions, and what was found."""

    clients: Clients
    meter: Meter
    tell: Tell
    monitors: dict[str, dict[str, Any]] = field(default_factory=dict)  # by ARN
    subscriptions: dict[str, dict[str, Any]] = field(default_factory=dict)  # by ARN
    found: dict[str, dict[str, Any]] = field(default_factory=dict)  # anomalies by id
    accounts: dict[str, str] = field(default_factory=dict)  # a monitor's account
    next: datetime | None = None
    _told: set[tuple[str, str]] = field(default_factory=set)

    def next_due(self) -> datetime | None:
        """The next evaluation, if there is a monitor."""
        return self.next if self.monitors else None

    def plan(self, now: datetime) -> None:
        """A monitor was made: it is evaluated at the next evaluation of the day, or of tomorrow."""
        today = midnight(now.date()) + HOUR_OF_DAY
        self.next = today if today > now else today + DAY

    def happen(self, now: datetime) -> None:
        """Evaluate every monitor, if the time has come, and tell those who asked to be told."""
        if self.next_due() is None or now < (self.next or now):
            return
        self.plan(now)
        known = now - DELAY
        last = known.date()
        first = last - LOOK_BACK * DAY
        for arn, monitor in self.monitors.items():
            found = daily_lines(self.meter, first, last, known, self.accounts[arn])
            for value, some in _parts(monitor, found).items():
                for spell in spells(series(some, first, last)):
                    anomaly = _anomaly(arn, value, first, spell, some)
                    if (last - date.fromisoformat(anomaly["AnomalyEndDate"])).days <= KEPT:
                        before = self.found.get(anomaly["AnomalyId"], {})
                        self.found[anomaly["AnomalyId"]] = {**anomaly, "Feedback": before.get("Feedback")}
            monitor["LastEvaluatedDate"] = now.strftime("%Y-%m-%d")
        for arn, subscription in self.subscriptions.items():
            if subscription["Frequency"] != "WEEKLY" or now.weekday() == 0:
                self._notify(arn, subscription)

    def _notify(self, arn: str, subscription: dict[str, Any]) -> None:
        for key, anomaly in self.found.items():
            if anomaly["MonitorArn"] not in subscription["MonitorArnList"] or (arn, key) in self._told:
                continue
            if not passes(subscription["ThresholdExpression"], anomaly["Impact"]):
                continue
            self._told.add((arn, key))
            words = (
                f"Cost anomaly {anomaly['AnomalyStartDate']} to {anomaly['AnomalyEndDate']}: "
                f"{anomaly['Impact']['TotalImpact']:.2f} USD more than expected."
            )
            for subscriber in subscription["Subscribers"]:
                error, status = "", 200
                if subscriber["Type"] == "SNS":
                    try:
                        sns = self.clients("sns", subscriber["Address"].split(":")[3])
                        sns.publish(TopicArn=subscriber["Address"], Subject="AWS Cost Management", Message=words)
                    except Exception as failure:  # noqa: BLE001 - a topic that is gone is told; the others go on
                        error, status = code_of(failure), 400
                told = {"AnomalyId": key, "to": subscriber["Address"], "message": words}
                self.tell("us-east-1", "alert", told, status, error)


def passes(expression: dict[str, Any], impact: dict[str, float]) -> bool:
    """Whether an anomaly's impact reaches a subscription's threshold."""
    if "And" in expression:
        return all(passes(one, impact) for one in expression["And"])
    if "Or" in expression:
        return any(passes(one, impact) for one in expression["Or"])
    given = expression["Dimensions"]
    percent = given["Key"] == "ANOMALY_TOTAL_IMPACT_PERCENTAGE"
    return impact["TotalImpactPercentage" if percent else "TotalImpact"] >= float(given["Values"][0])


def _parts(monitor: dict[str, Any], found: list[Line]) -> dict[str, list[Line]]:
    """The lines that a monitor looks at, by the value of its dimension ("" for a custom monitor)."""
    if monitor["MonitorType"] == "CUSTOM":
        keep = keeping(monitor["MonitorSpecification"])
        return {"": [line for line in found if keep(line)]}
    parts: dict[str, list[Line]] = defaultdict(list)
    for line in found:
        parts[line.dimensions[monitor["MonitorDimension"]]].append(line)
    return parts


def _anomaly(arn: str, value: str, first: date, spell: Spell, some: list[Line]) -> dict[str, Any]:
    start, end = first + spell.first * DAY, first + spell.last * DAY
    impact, expected = sum(spell.impacts), sum(spell.expected)
    percent = {"TotalImpactPercentage": round(100 * impact / expected, 2)} if expected else {}
    score = round(1 - expected / sum(spell.actual), 4)
    return {
        "AnomalyId": str(uuid5(_NAMES, f"{arn} {value} {start}")),
        "AnomalyStartDate": start.isoformat(),
        "AnomalyEndDate": end.isoformat(),
        "DimensionValue": value,
        "RootCauses": _root_causes(first, spell, some),
        "AnomalyScore": {"MaxScore": score, "CurrentScore": score},
        "Impact": {
            "MaxImpact": round(max(spell.impacts), 2),
            "TotalImpact": round(impact, 2),
            "TotalActualSpend": round(sum(spell.actual), 2),
            "TotalExpectedSpend": round(expected, 2),
            "TotalImpactPercentage": 0.0,
            **percent,
        },
        "MonitorArn": arn,
    }


def _root_causes(first: date, spell: Spell, some: list[Line]) -> list[dict[str, Any]]:
    """The service, region and usage type that cost most more than in the four weeks before, a day."""
    days = spell.last - spell.first + 1
    usd: dict[tuple[str, ...], float] = defaultdict(float)
    start, after = first + spell.first * DAY, first + (spell.last + 1) * DAY
    for line in some:
        key = (*(line.dimensions[name] for name in ("SERVICE", "REGION", "LINKED_ACCOUNT", "USAGE_TYPE")),)
        if start <= line.start.date() < after:
            usd[key] += line.usd / days
        elif start - 28 * DAY <= line.start.date() < start:
            usd[key] -= line.usd / 28
    service, region, account, usage = max(usd, key=lambda key: usd[key])
    more = {"Contribution": round(usd[service, region, account, usage] * days, 2)}
    return [{"Service": service, "Region": region, "LinkedAccount": account, "UsageType": usage, "Impact": more}]
