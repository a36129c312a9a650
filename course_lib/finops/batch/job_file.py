"""A job and its fleet from a TOML file, read strictly: a misspelled key is an error, not a default."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from course_lib.finops.batch.errors import BatchError
from course_lib.finops.batch.fleet import Fleet
from course_lib.finops.batch.job import Dependency, Job
from course_lib.finops.batch.retries import SPOT_RULES, ExitRule, RetryStrategy
from course_lib.finops.ephemeral import Lease

TOP = ("owner", "project", "expires_at", "region", "fleet", "job")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
# What TOML must have for a field, by the field's annotation; others are read by functions of their own.
TYPES: dict[str, tuple[tuple[type, ...], str, str]] = {
    "str": ((str,), "is no text", 'write it in quotes: "..."'),
    "bool": ((bool,), "is neither true nor false", "write one of the two, without quotes"),
    "int": ((int,), "is no whole number", "write it in digits, without quotes"),
    "float": ((int, float), "is no number", "write it in digits, without quotes"),
    "dict[str, str]": ((dict,), "is no table", 'write { NAME = "value" }'),
}
EXAMPLE_END = "2026-12-02T08:00:00Z"
EXAMPLE = """\
owner = "ada@example.org"
project = "bert"
expires_at = 2026-12-02T08:00:00Z   # a moment with its zone: nothing here outlives it unseen
region = "us-east-1"

[fleet]
name = "bert-trn1"
instance_types = ["trn1.2xlarge"]
purchase = "spot"
max_vcpus = 32
subnets = ["default"]               # of the default VPC; or ids: aws ec2 describe-subnets
security_groups = ["default"]       # that VPC's own; or ids: aws ec2 describe-security-groups
instance_role = "ecsInstanceRole"   # made if it is missing; or your instance profile

[job]
name = "bert-shards"
image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/course:neuron-training"
command = ["python", "train.py"]
instance_type = "trn1.2xlarge"
timeout = "2h"
attempts = 3
array_size = 4
budget_usd = 40.0
inputs = "s3://bucket/inputs"
outputs = "s3://bucket/outputs"

[[job.retry]]
action = "RETRY"
on_status_reason = "Host EC2*"

[[job.retry]]
action = "RETRY"
on_exit_code = "75"

[[job.retry]]
action = "EXIT"
on_reason = "*"
"""


def example_job_file(now: datetime) -> str:
    """A job file to start from, whose lease ends a day from now."""
    end = (now.astimezone(UTC) + timedelta(days=1)).replace(minute=0, second=0, microsecond=0)
    return EXAMPLE.replace(EXAMPLE_END, f"{end:%Y-%m-%dT%H:%M:%SZ}")


@dataclass(frozen=True)
class JobFile:
    """What a job file holds.

    Attributes:
        region: where.
        fleet: what it runs on.
        job: what runs.
        depends_on: jobs that must succeed first.
    """

    region: str
    fleet: Fleet
    job: Job
    depends_on: tuple[Dependency, ...] = ()


def read_job_file(path: Path) -> JobFile:
    """Read a job file.

    Raises:
        BatchError: for a file that is no TOML, an unknown or missing key, or a value that `Job` or `Fleet` refuses.
        LeaseError: for an owner, a project or an end that is none.
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BatchError.of(
            "job file", str(path), f"can't be read ({error})", "see: course finops batch example"
        ) from None
    _check_keys("the job file", told, TOP, TOP)
    end = told["expires_at"]
    if not isinstance(end, datetime):
        raise BatchError.of("expires_at", end, "is no moment", "write it without quotes: 2026-12-01T08:00:00Z")
    for name in ("owner", "project", "region"):
        _check_type(name, told[name], "str")
    lease = Lease(told["owner"], told["project"], end)
    fleet = _fleet(_table("[fleet]", told["fleet"]), lease)
    job, depends_on = _job(_table("[job]", told["job"]), lease, fleet)
    return JobFile(told["region"], fleet, job, depends_on)


def _fleet(given: dict[str, Any], lease: Lease) -> Fleet:
    known, needed = _keys_of(Fleet)
    _check_keys("[fleet]", given, known, needed)
    _check_types(given, Fleet)
    for name in ("instance_types", "subnets", "security_groups"):
        given[name] = _words(name, given[name])
    _check_purchase(given)
    return Fleet(lease=lease, **given)


def _job(given: dict[str, Any], lease: Lease, fleet: Fleet) -> tuple[Job, tuple[Dependency, ...]]:
    known, needed = _keys_of(Job)
    known = (*known, "attempts", "depends_on")
    _check_keys("[job]", given, known, needed)
    _check_types(given, Job)
    rules = given.pop("retry", None)
    attempts = given.pop("attempts", 1)
    waits = tuple(Dependency(**row) for row in _rows("[[job.depends_on]]", given.pop("depends_on", []), Dependency))
    parsed = SPOT_RULES if rules is None else tuple(ExitRule(**row) for row in _rows("[[job.retry]]", rules, ExitRule))
    given["command"] = _words("command", given["command"])
    given["timeout"] = duration(given["timeout"])
    given["environment"] = {str(name): str(value) for name, value in given.get("environment", {}).items()}
    given.setdefault("purchase", fleet.purchase)
    _check_purchase(given)
    return Job(lease=lease, retry=RetryStrategy(attempts, parsed), **given), waits


def duration(text: object) -> timedelta:
    """A duration such as "90s", "30m" or "2h".

    Raises:
        BatchError: for anything else.
    """
    number, unit = (text[:-1], text[-1:]) if isinstance(text, str) else ("", "")
    if not (number.isascii() and number.replace(".", "", 1).isdigit()) or unit not in UNITS:
        raise BatchError.of("timeout", text, "is no duration", 'write it as "90s", "30m", "2h" or "1d"')
    try:
        return timedelta(seconds=float(number) * UNITS[unit])
    except OverflowError:
        raise BatchError.of(
            "timeout", text, "is more than anything lasts", "say how long one attempt may take"
        ) from None


def _keys_of(kind: type) -> tuple[tuple[str, ...], tuple[str, ...]]:
    rows = [row for row in fields(kind) if row.name != "lease"]
    needed = [row.name for row in rows if row.default is MISSING and row.default_factory is MISSING]
    return tuple(row.name for row in rows), tuple(needed)


def _table(where: str, row: object) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise BatchError.of(where, row, "is no table", f"write it as {where} with one key on each line")
    return dict(row)


def _rows(where: str, rows: object, kind: type) -> list[dict[str, Any]]:
    if not isinstance(rows, list):
        raise BatchError.of(where, rows, "is no list of tables", f"write {where} once for each")
    tables = [_table(where, row) for row in rows]
    for table in tables:
        _check_keys(where, table, *_keys_of(kind))
        _check_types(table, kind)
    return tables


def _check_types(given: Mapping[str, Any], kind: type) -> None:
    for row in fields(kind):
        if row.name in given:
            _check_type(row.name, given[row.name], str(row.type).removesuffix(" | None"))


def _check_type(name: str, value: object, annotation: str) -> None:
    allowed, wrong, remedy = TYPES.get(annotation, ((object,), "", ""))
    if not isinstance(value, allowed) or (isinstance(value, bool) and int in allowed):  # True is an int to Python
        raise BatchError.of(name, value, wrong, remedy)


def _check_keys(where: str, given: Mapping[str, Any], known: tuple[str, ...], needed: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1) or [", ".join(known)]
            raise BatchError.of("key", name, f"is none of {where}", f"did you mean {near[0]}")
    for name in needed:
        if name not in given:
            raise BatchError.of("key", name, f"is missing in {where}", "see: course finops batch example")


def _check_purchase(given: Mapping[str, Any]) -> None:
    if given.get("purchase", "spot") not in ("spot", "on_demand"):
        raise BatchError.of("purchase", given["purchase"], "is no way to buy", "write spot or on_demand")


def _words(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise BatchError.of(name, value, "is no list of words", f'write {name} = ["...", "..."]')
    return tuple(value)
