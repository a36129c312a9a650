"""Cost Explorer over the meter: GetCostAndUsage (also by resource), GetDimensionValues and GetTags, with filters and
groups that count.

moto answers from a queue of prepared pages, whatever is asked. Here a wrong query gets the wrong answer, as on AWS.
Like AWS's, the last figures are late and marked as estimated: what is younger than `DELAY` is not there yet. Source:
https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_GetCostAndUsage.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from course_lib.finops.cloud.costs import Line, lines, total
from course_lib.finops.cloud.instances import account_of
from course_lib.finops.cloud.wire import ApiCall, ApiError

DELAY = timedelta(hours=8)  # "at least once every 24 hours"; budgets' data come three times a day
RESOURCES_KEPT = timedelta(days=14)
STEPS = {"HOURLY": timedelta(hours=1), "DAILY": timedelta(days=1)}
METRICS = {"UnblendedCost", "BlendedCost", "AmortizedCost", "NetUnblendedCost", "NetAmortizedCost", "UsageQuantity"}
DIMENSIONS = {
    "SERVICE",
    "REGION",
    "AZ",
    "INSTANCE_TYPE",
    "LINKED_ACCOUNT",
    "OPERATION",
    "PURCHASE_TYPE",
    "USAGE_TYPE",
    "RESOURCE_ID",
}
Keep = Callable[[Line], bool]


def cost_and_usage(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer GetCostAndUsage."""
    asked = call.parameters
    start, end = period(asked)
    granularity = str(asked.get("Granularity", ""))
    metrics = list(asked.get("Metrics") or ())
    if granularity not in (*STEPS, "MONTHLY"):
        raise invalid(f"Granularity '{granularity}' is none of DAILY, HOURLY, MONTHLY.")
    if not metrics or not set(metrics) <= METRICS:
        raise invalid(f"Metrics {metrics} must be some of {', '.join(sorted(METRICS))}.")
    keep = keeping(asked.get("Filter"))
    groups = [_group_key(group) for group in asked.get("GroupBy") or ()]
    if len(groups) > 2:
        raise invalid("GroupBy takes two groups at most.")
    known = account.clock.now() - DELAY
    result = []
    for begin, until in cost_steps(start, end, granularity):
        found = [line for line in _lines(account, call, begin, until, known) if keep(line)]
        told: dict[str, Any] = {
            "TimePeriod": {"Start": time_text(begin, granularity), "End": time_text(until, granularity)},
            "Total": {} if groups else _metrics(found, metrics),
            "Groups": [],
            "Estimated": until > known,
        }
        if groups:
            by_keys: dict[tuple[str, ...], list[Line]] = {}
            for line in found:
                by_keys.setdefault(tuple(group(line) for group in groups), []).append(line)
            told["Groups"] = [
                {"Keys": list(keys), "Metrics": _metrics(of, metrics)} for keys, of in sorted(by_keys.items())
            ]
        result.append(told)
    definitions = [{"Type": g["Type"], "Key": g["Key"]} for g in asked.get("GroupBy") or ()]
    return {"ResultsByTime": result, "GroupDefinitions": definitions, "DimensionValueAttributes": []}


def cost_and_usage_with_resources(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer GetCostAndUsageWithResources: as GetCostAndUsage, by resource, for the last 14 days and with a filter."""
    start, _ = period(call.parameters)
    if not call.parameters.get("Filter"):
        raise invalid("Filter is required.")
    oldest = account.clock.now().replace(hour=0, minute=0, second=0, microsecond=0) - RESOURCES_KEPT
    if start < oldest:
        raise invalid(f"Start date {start:%Y-%m-%d} is before {oldest:%Y-%m-%d}: resources are kept for 14 days.")
    return cost_and_usage(account, call)


def dimension_values(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer GetDimensionValues."""
    start, end = period(call.parameters)
    dimension = str(call.parameters.get("Dimension", ""))
    if dimension not in DIMENSIONS:
        raise invalid(f"Dimension '{dimension}' is none of {', '.join(sorted(DIMENSIONS))}.")
    known = account.clock.now() - DELAY
    found = sorted({line.dimensions[dimension] for line in _lines(account, call, start, end, known)})
    values = [{"Value": value, "Attributes": {}} for value in found]
    return {"DimensionValues": values, "ReturnSize": len(values), "TotalSize": len(values)}


def tag_values(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer GetTags: the keys, or with TagKey its values."""
    start, end = period(call.parameters)
    key = call.parameters.get("TagKey")
    known = account.clock.now() - DELAY
    found = list(_lines(account, call, start, end, known))
    values = {line.tags.get(key, "") for line in found} if key else {name for line in found for name in line.tags}
    return {"Tags": sorted(values), "ReturnSize": len(values), "TotalSize": len(values)}


def period(asked: dict[str, Any]) -> tuple[datetime, datetime]:
    """The interval of a request; its end is not part of it.

    Raises:
        ApiError: for dates that are none, or an end that isn't after the start.
    """
    given = asked.get("TimePeriod") or {}
    try:
        start, end = (_moment(str(given[name])) for name in ("Start", "End"))
    except (KeyError, ValueError):
        raise invalid(f"TimePeriod {given} must have Start and End as yyyy-MM-dd or yyyy-MM-ddThh:mm:ssZ.") from None
    if not start < end:
        raise invalid(f"Start date {given['Start']} must be before end date {given['End']}.")
    return start, end


def keeping(expression: dict[str, Any] | None) -> Keep:
    """Which lines an Expression of Cost Explorer keeps.

    Raises:
        ApiError: for an expression that is none, such as one with two operators.
    """
    if not expression:
        return lambda line: True
    if len(expression) != 1:
        raise invalid(f"Expression has {len(expression)} operators: {', '.join(expression)}; it must have one.")
    ((operator, given),) = expression.items()
    match operator:
        case "And":
            every = [keeping(one) for one in given]
            return lambda line: all(keep(line) for keep in every)
        case "Or":
            some = [keeping(one) for one in given]
            return lambda line: any(keep(line) for keep in some)
        case "Not":
            inner = keeping(given)
            return lambda line: not inner(line)
        case "Dimensions":
            key = str(given.get("Key"))
            if key not in DIMENSIONS:
                raise invalid(f"Dimension '{key}' is none of {', '.join(sorted(DIMENSIONS))}.")
            return _matching(lambda line: line.dimensions[key], given)
        case "Tags":
            name = str(given.get("Key"))
            return _matching(lambda line: line.tags.get(name, ""), given)
    raise invalid(f"Expression '{operator}' is none of And, Or, Not, Dimensions, Tags.")


def _matching(value: Callable[[Line], str], given: dict[str, Any]) -> Keep:
    values, options = set(given.get("Values") or ()), set(given.get("MatchOptions") or ["EQUALS"])
    if "ABSENT" in options:
        return lambda line: not value(line)
    if "STARTS_WITH" in options:
        return lambda line: value(line).startswith(tuple(values))
    if "CASE_INSENSITIVE" in options:
        lower = {one.lower() for one in values}
        return lambda line: value(line).lower() in lower
    return lambda line: value(line) in values


def _group_key(group: dict[str, Any]) -> Callable[[Line], str]:
    kind, key = str(group.get("Type")), str(group.get("Key"))
    if kind == "TAG":
        return lambda line: f"{key}${line.tags.get(key, '')}"
    if kind == "DIMENSION" and key in DIMENSIONS:
        return lambda line: line.dimensions[key]
    raise invalid(f"Group {kind} '{key}' is neither TAG nor a DIMENSION of {', '.join(sorted(DIMENSIONS))}.")


def _lines(account: Any, call: ApiCall, start: datetime, end: datetime, known: datetime) -> Iterable[Line]:
    found = lines(account.meter, start, end, end - start, known, account_of(call))
    seen: Iterable[Line] = account.allocation_tags.seen(found)
    return seen


def _metrics(found: list[Line], metrics: list[str]) -> dict[str, dict[str, str]]:
    usd, _ = total(found)
    units = {line.unit for line in found} or {"Hrs"}
    unit = units.pop() if len(units) == 1 else "N/A"
    amount = sum(line.quantity for line in found)  # of hours and gibibytes together it means nothing, as on AWS
    return {
        name: {"Amount": f"{amount:.6f}", "Unit": unit}
        if name == "UsageQuantity"
        else {"Amount": f"{usd:.10f}", "Unit": "USD"}
        for name in metrics
    }


def cost_steps(start: datetime, end: datetime, granularity: str) -> list[tuple[datetime, datetime]]:
    """The hours, days or calendar months of an interval, the first and last cut at its ends."""
    found = []
    while start < end:
        if granularity == "MONTHLY":
            first = start.replace(day=1, hour=0, minute=0, second=0)
            after = (first + timedelta(days=32)).replace(day=1)
        else:
            after = start + STEPS[granularity]
        found.append((start, min(after, end)))
        start = after
    return found


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def time_text(time: datetime, granularity: str) -> str:
    """A moment as Cost Explorer writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ" if granularity == "HOURLY" else "%Y-%m-%d")


def invalid(message: str) -> ApiError:
    """The error of a request that can't be answered."""
    return ApiError("ValidationException", message)
