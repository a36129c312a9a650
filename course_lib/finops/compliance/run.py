"""Runs the checks against an account: every region, every bucket, and what could not be seen is said.

A read that AWS refuses never counts as passed: the claim may be true, but nobody looked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from course_lib.finops.aws import AwsError, Clients, usable_regions, who_calls
from course_lib.finops.compliance.checks import BY_NAME, CHECKS, Check
from course_lib.finops.compliance.errors import ComplianceError
from course_lib.finops.compliance.facts import Account, Bucket, Region
from course_lib.finops.compliance.report import Report
from course_lib.finops.compliance.results import GLOBAL, Finding, Result, Settings

WORKERS = 8  # regions and buckets at a time
WHOLE = "regional-things"  # claims something of the regions in which there should be nothing
MAY_READ = "let the auditor's role make this call (see `read_only_policy`), and look again"


def look(
    account: Clients,
    settings: Settings | None = None,
    *,
    regions: Iterable[str] | None = None,
    checks: Iterable[str] | None = None,
) -> Report:
    """Run the checks; changes nothing.

    Args:
        account: whose.
        settings: the limits.
        regions: where to look at what belongs to a region; every enabled region when left out. Buckets, users and
            trails are looked at wherever they are. Residency can't be judged from some regions alone: the others are
            then told of as unseen.
        checks: names of checks; all when left out.

    Raises:
        ComplianceError: for a check that there is not, or an empty list of checks or regions.
        AwsError: if AWS tells neither its time, nor the account's number, nor its regions.
    """
    settings = settings or Settings()
    chosen = _chosen(checks)
    caller = who_calls(account)
    number, now = caller.account, caller.now
    where = sorted(set(regions)) if regions is not None else usable_regions(account)
    if not where:
        raise ComplianceError.of("regions", where, "names no region", "leave it out to look everywhere")
    whole = Account(account, number, now, settings)
    jobs: list[Callable[[], list[Result]]] = [
        *(partial(_in_region, Region(account, name, settings), _of(chosen, "region")) for name in where),
        partial(_in_account, whole, _of(chosen, "account")),
    ]
    with ThreadPoolExecutor(WORKERS) as pool:
        waiting = [pool.submit(job) for job in jobs]
        found = _buckets(pool, whole, _of(chosen, "bucket"))
        found += [result for job in waiting for result in job.result()]
    if regions is not None and settings.allowed_regions and any(check.name == WHOLE for check in chosen):
        found += _not_looked_at(account, where)
    found += _nothing_found(chosen, found, settings)
    order = {check.name: position for position, check in enumerate(CHECKS)}
    found.sort(key=lambda one: (order[one.check], one.region, one.resource))
    return Report(number, now, tuple(where), tuple(check.name for check in chosen), settings, tuple(found))


def _chosen(names: Iterable[str] | None) -> tuple[Check, ...]:
    if names is None:
        return CHECKS
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in BY_NAME:
            raise ComplianceError.of("checks", name, "is no check", f"choose from {', '.join(BY_NAME)}")
    if not wanted:
        raise ComplianceError.of("checks", wanted, "names no check", "leave it out to run all")
    return tuple(check for check in CHECKS if check.name in wanted)


def _of(checks: tuple[Check, ...], kind: str) -> tuple[Check, ...]:
    return tuple(check for check in checks if check.of == kind)


def _in_region(region: Region, checks: tuple[Check, ...]) -> list[Result]:
    return [one for check in checks for one in _judged(check, region, region.name, f"region {region.name}")]


def _in_account(account: Account, checks: tuple[Check, ...]) -> list[Result]:
    return [one for check in checks for one in _judged(check, account, GLOBAL, f"account {account.number}")]


def _buckets(pool: ThreadPoolExecutor, account: Account, checks: tuple[Check, ...]) -> list[Result]:
    if not checks:
        return []
    try:
        buckets = account.buckets
    except AwsError as error:
        return [Result(check.name, GLOBAL, "unseen", "every bucket", str(error), MAY_READ) for check in checks]
    if any(check.name == "bucket-access-log" for check in checks):
        list(pool.map(_warm, buckets))  # each bucket's target is asked for by the others
    return [one for found in pool.map(partial(_in_bucket, checks), buckets) for one in found]


def _warm(bucket: Bucket) -> None:
    try:
        _ = bucket.log_target
    except AwsError:
        return  # not kept: the check asks again, and its finding says why


def _in_bucket(checks: tuple[Check, ...], bucket: Bucket) -> list[Result]:
    try:
        region = bucket.region
    except AwsError as error:
        return [Result(check.name, GLOBAL, "unseen", bucket.name, str(error), MAY_READ) for check in checks]
    return [one for check in checks for one in _judged(check, bucket, region, bucket.name)]


def _judged(check: Check, subject: Any, region: str, whole: str) -> Iterator[Result]:
    """What one check finds; a refused read ends it with "unseen", and what it found before that stays."""
    try:
        for finding in check.look(subject):
            yield _result(check, region, finding)
    except AwsError as error:
        yield Result(check.name, region, "unseen", whole, str(error), MAY_READ)


def _result(check: Check, region: str, finding: Finding) -> Result:
    return Result(check.name, region, finding.status, finding.resource, finding.evidence, finding.remedy)


def _not_looked_at(account: Clients, where: list[str]) -> list[Result]:
    """One result if regions were left out: of what lies outside the allowed regions, they know."""
    try:
        others = sorted(set(usable_regions(account)) - set(where))
    except AwsError as error:
        return [Result(WHOLE, GLOBAL, "unseen", "other regions", str(error), MAY_READ)]
    told = f"{len(others)} regions were not looked at, among them {', '.join(others[:3])}"
    return [Result(WHOLE, GLOBAL, "unseen", "other regions", told, "look at every region")] if others else []


def _nothing_found(checks: tuple[Check, ...], found: list[Result], settings: Settings) -> list[Result]:
    """One result for each check that had nothing to judge anywhere."""
    judged = {result.check for result in found}
    return [
        Result(check.name, GLOBAL, "not applicable", "", *_why_nothing(check, settings))
        for check in checks
        if check.name not in judged
    ]


def _why_nothing(check: Check, settings: Settings) -> tuple[str, str]:
    if check.area == "residency" and not settings.allowed_regions:
        return "nobody has decided which regions are allowed", "give allowed_regions"
    return "there is nothing of the kind", ""
