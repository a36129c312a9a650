"""Data Exports: once a day the month's bill so far, in FOCUS 1.2 columns, goes as CSV into a bucket, with a manifest.

It is delivered at 08:00 UTC of the account's clock, when the day before is on the bill; on the first of a month that is
the whole month before. As on AWS, the bucket's policy has to let the service write, and a delivery that may not is told
in the export's status. Sources: https://docs.aws.amazon.com/cur/latest/userguide/dataexports-export-delivery.html and
dataexports-manifest.html.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from course_lib.finops.cloud.alarms import Tell
from course_lib.finops.cloud.costs import lines
from course_lib.finops.cloud.focus_rows import focus_rows, month_of
from course_lib.finops.cloud.meter import Meter
from course_lib.finops.cloud.schedules import Clients
from course_lib.finops.cloud.wire import code_of
from course_lib.finops.focus import COLUMNS, FocusData, to_bytes

DAY, MOMENT = timedelta(days=1), timedelta(microseconds=1)
STEPS = {"HOURLY": timedelta(hours=1), "DAILY": DAY, "MONTHLY": timedelta(days=31)}
WRITER = "bcm-data-exports.amazonaws.com"


@dataclass
class Execution:
    """One delivery.

    Attributes:
        id: its name.
        at: when.
        code, reason: AWS's words for what came of it; no reason when it succeeded.
    """

    id: str
    at: datetime
    code: str
    reason: str = ""


@dataclass
class Export:
    """One export.

    Attributes:
        account: its owner's number.
        told: as CreateExport was asked, with its ARN.
        columns: (column, name in the file), in the query's order.
        step: how long a row's charge period is.
        created, updated: when.
        executions: its deliveries, the oldest first.
    """

    account: str
    told: dict[str, Any]
    columns: tuple[tuple[str, str], ...]
    step: timedelta
    created: datetime
    updated: datetime
    executions: list[Execution] = field(default_factory=list)

    @property
    def bucket(self) -> dict[str, Any]:
        """Where it delivers."""
        where: dict[str, Any] = self.told["DestinationConfigurations"]["S3Destination"]
        return where


@dataclass
class Exports:
    """The account's exports, by ARN, and when they are delivered."""

    clients: Clients
    meter: Meter
    tell: Tell
    delay: timedelta
    kept: dict[str, Export] = field(default_factory=dict)

    def next_due(self) -> datetime | None:
        """The next delivery, if there is an export."""
        return min((self._due(export) for export in self.kept.values()), default=None)

    def happen(self, now: datetime) -> None:
        """Deliver every export whose time has come."""
        for export in list(self.kept.values()):
            if self._due(export) <= now:
                self._run(export, now)

    def _due(self, export: Export) -> datetime:
        last = export.executions[-1].at if export.executions else export.created
        midnight = last.replace(hour=0, minute=0, second=0, microsecond=0)
        at = midnight + self.delay
        return at if at > last else at + DAY

    def _run(self, export: Export, now: datetime) -> None:
        digest = hashlib.sha256(f"{export.told['ExportArn']} {now.isoformat()}".encode()).hexdigest()
        execution = Execution(f"{now:%Y-%m-%dT%H:%M:%S.000Z}-{digest[:8]}", now, "DELIVERY_SUCCESS")
        error = ""
        try:
            self._deliver(export, execution.id, now - self.delay)
        except Exception as failure:  # noqa: BLE001 - a bucket that is gone or closed is told, and the export goes on
            error = code_of(failure)
            execution.code, execution.reason = "DELIVERY_FAILURE", "INSUFFICIENT_PERMISSION"
        export.executions.append(execution)
        about = {"ExportArn": export.told["ExportArn"], "ExecutionId": execution.id, "StatusCode": execution.code}
        self.tell("us-east-1", "delivery", about, 400 if error else 200, error)

    def _deliver(self, export: Export, execution: str, known: datetime) -> None:
        where, name = export.bucket, export.told["Name"]
        s3 = self.clients("s3", where["S3Region"])
        if not may_write(s3, where["S3Bucket"]):
            raise PermissionError(f"the policy of {where['S3Bucket']} does not let {WRITER} write")
        start, end = month_of(known - MOMENT)
        found = focus_rows(
            lines(self.meter, start, min(end, known), export.step, known, export.account), export.step, known
        )
        named = tuple({new: row.get(old) for old, new in export.columns} for row in found)
        output = where["S3OutputConfigurations"]
        partition = f"BILLING_PERIOD={start:%Y-%m}"
        root = "/".join(part for part in (where["S3Prefix"].strip("/"), name) if part)
        folder = f"{root}/data/{partition}"
        if output["Overwrite"] == "CREATE_NEW_REPORT":
            folder += f"/{execution}"
        key = f"{folder}/{name}-00001.csv.gz"
        columns = tuple(new for _, new in export.columns)
        s3.put_object(Bucket=where["S3Bucket"], Key=key, Body=to_bytes(FocusData(columns, named), compressed=True))
        manifest = {
            "executionId": execution,
            "exportArn": export.told["ExportArn"],
            "columns": [{"name": new, "type": _type(old)} for old, new in export.columns],
            "dataFiles": [f"s3://{where['S3Bucket']}/{key}"],
            "additionalOutputFiles": [],
        }
        path = f"{root}/metadata/{partition}/{name}-Manifest.json"
        s3.put_object(Bucket=where["S3Bucket"], Key=path, Body=json.dumps(manifest, indent=2).encode())


def may_write(s3: Any, bucket: str) -> bool:
    """Whether a bucket's policy lets Data Exports put objects into it; an explicit Deny of it wins."""
    try:
        statements = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    except Exception as error:
        if code_of(error) == "NoSuchBucketPolicy":
            return False
        raise
    found = [one["Effect"] for one in _many(statements) if _covers(one, bucket)]
    return "Allow" in found and "Deny" not in found


def _covers(statement: dict[str, Any], bucket: str) -> bool:
    principal = statement.get("Principal") or {}
    services = ["*"] if principal == "*" else _many(principal.get("Service", ()))
    actions, resources = _many(statement.get("Action", ())), _many(statement.get("Resource", ()))
    return (
        any(fnmatchcase(WRITER, service) for service in services)
        and any(fnmatchcase("s3:putobject", action.lower()) for action in actions)
        and any(fnmatchcase(f"arn:aws:s3:::{bucket}/any", resource) for resource in resources)
    )


def _many(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _type(column: str) -> str:
    kind = COLUMNS[column].kind if column in COLUMNS else "text"
    return {"number": "double", "time": "timestamp", "pairs": "map<string,string>"}.get(kind, "string")
