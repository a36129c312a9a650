"""The calls of Data Exports (bcm-data-exports) that this account answers: create, get, list and delete exports, and
what came of their deliveries. Of the tables there is one, FOCUS_1_2_AWS, and of SQL the choice and renaming of columns.

Source: https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_Operations_AWS_Billing_and_Cost_Management_Data_Exports.html
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from course_lib.finops.cloud.exports import STEPS, Execution, Export
from course_lib.finops.cloud.instances import account_of
from course_lib.finops.cloud.pages import page_of
from course_lib.finops.cloud.wire import ApiCall, ApiError, code_of
from course_lib.finops.focus import COLUMNS

TABLE = "FOCUS_1_2_AWS"
OWN_COLUMNS = ("x_Discounts", "x_Operation", "x_PriceKnown", "x_ServiceCode")
QUERY = re.compile(r"\s*SELECT\s+(?P<columns>[\w\s,]+?)\s+FROM\s+(?P<table>\w+)\s*;?\s*", re.IGNORECASE)
COLUMN = re.compile(r"(\w+)(?:\s+AS\s+(\w+))?", re.IGNORECASE)
NAME = re.compile(r"[0-9A-Za-z_\-]{1,128}")
OUTPUT = {"OutputType": "CUSTOM", "Format": "TEXT_OR_CSV", "Compression": "GZIP"}


def create(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer CreateExport."""
    told = dict(call.parameters["Export"])
    owner, name = account_of(call), str(told["Name"])
    if not NAME.fullmatch(name):
        raise _invalid(f"Name '{name}' must be 1 to 128 letters, digits, - or _.")
    if any(one.told["Name"] == name and one.account == owner for one in account.exports.kept.values()):
        raise _invalid(f"An export named '{name}' already exists.")
    columns, step = _query(told["DataQuery"])
    where = told["DestinationConfigurations"]["S3Destination"]
    for setting, only in OUTPUT.items():
        if (found := where["S3OutputConfigurations"].get(setting)) != only:
            raise _invalid(f"{setting} '{found}' is not served by this practice account; use {only}.")
    _check_bucket(account, where)
    told["ExportArn"] = f"arn:aws:bcm-data-exports:us-east-1:{owner}:export/{name}-{_suffix(owner, name)}"
    now = account.clock.now()
    account.exports.kept[told["ExportArn"]] = Export(owner, told, columns, step, now, now)
    return {"ExportArn": told["ExportArn"]}


def get(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer GetExport."""
    export = _find(account, call)
    return {"Export": export.told, "ExportStatus": _status(export)}


def list_exports(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer ListExports."""
    own = [export for export in account.exports.kept.values() if export.account == account_of(call)]
    told = [
        {"ExportArn": one.told["ExportArn"], "ExportName": one.told["Name"], "ExportStatus": _status(one)}
        for one in own
    ]
    return page_of(told, call, "Exports")


def delete(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer DeleteExport; what was delivered stays in the bucket."""
    export = _find(account, call)
    del account.exports.kept[export.told["ExportArn"]]
    return {"ExportArn": export.told["ExportArn"]}


def list_executions(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer ListExecutions: the newest first."""
    executions = reversed(_find(account, call).executions)
    told = [{"ExecutionId": one.id, "ExecutionStatus": _outcome(one)} for one in executions]
    return page_of(told, call, "Executions")


def get_execution(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer GetExecution."""
    export, asked = _find(account, call), call.parameters["ExecutionId"]
    for one in export.executions:
        if one.id == asked:
            return {"ExecutionId": one.id, "Export": export.told, "ExecutionStatus": _outcome(one)}
    raise ApiError("ResourceNotFoundException", f"Execution {asked} was not found.")


def _query(asked: dict[str, Any]) -> tuple[tuple[tuple[str, str], ...], Any]:
    statement = str(asked["QueryStatement"])
    found = QUERY.fullmatch(statement)
    if found is None or found["table"] != TABLE:
        raise _invalid(
            f"QueryStatement must be SELECT column, ... FROM {TABLE} on this practice account: {statement[:80]}"
        )
    columns = []
    for text in found["columns"].split(","):
        one = COLUMN.fullmatch(text.strip())
        if one is None or (one[1] not in COLUMNS and one[1] not in OWN_COLUMNS):
            raise _invalid(f"Column '{text.strip()}' is not in table {TABLE}.")
        columns.append((one[1], one[2] or one[1]))
    names = [name for _, name in columns]
    if len(set(names)) < len(names):
        raise _invalid("QueryStatement names a column twice.")
    settings = (asked.get("TableConfigurations") or {}).get(TABLE) or {}
    granularity = settings.get("TIME_GRANULARITY", "HOURLY")
    if granularity not in STEPS:
        raise _invalid(f"TIME_GRANULARITY '{granularity}' is none of {', '.join(STEPS)}.")
    return tuple(columns), STEPS[granularity]


def _check_bucket(account: Any, where: dict[str, Any]) -> None:
    s3 = account.client("s3", where["S3Region"], actor="exports")
    try:
        s3.head_bucket(Bucket=where["S3Bucket"])
    except Exception as error:  # noqa: BLE001 - whatever S3 answers, the caller learns that the bucket is no target
        raise _invalid(f"S3Bucket '{where['S3Bucket']}' can't be reached: {code_of(error)}.") from None


def _find(account: Any, call: ApiCall) -> Export:
    arn = call.parameters["ExportArn"]
    export: Export | None = account.exports.kept.get(arn)
    if export is None or export.account != account_of(call):
        raise ApiError("ResourceNotFoundException", f"Export {arn} was not found.")
    return export


def _status(export: Export) -> dict[str, Any]:
    told: dict[str, Any] = {"StatusCode": "HEALTHY", "CreatedAt": export.created, "LastUpdatedAt": export.updated}
    if export.executions:
        last = export.executions[-1]
        told["LastRefreshedAt"] = last.at
        if last.reason:
            told |= {"StatusCode": "UNHEALTHY", "StatusReason": last.reason}
    return told


def _outcome(one: Execution) -> dict[str, Any]:
    told: dict[str, Any] = {"StatusCode": one.code, "CreatedAt": one.at, "CompletedAt": one.at, "LastUpdatedAt": one.at}
    return {**told, "StatusReason": one.reason} if one.reason else told


def _suffix(owner: str, name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{owner}/{name}"))


def _invalid(message: str) -> ApiError:
    return ApiError("ValidationException", message)
