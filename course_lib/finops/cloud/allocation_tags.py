"""Cost allocation tags: which of the resources' tags the bill shows.

On AWS a tag begins as Inactive, and a day may pass until an activated one is in Cost Explorer, for the time after that
alone. Here a tag is Active from its first use, so that a lesson about something else needn't wait; one that is set to
Inactive is missing from Cost Explorer's answers, and one that comes back is there at once and for all days. Source:
https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/activating-tags.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from course_lib.finops.cloud.costs import Line, metered_tags
from course_lib.finops.cloud.pages import page_of
from course_lib.finops.cloud.wire import ApiCall, ApiError

STATUS = ("Active", "Inactive")
MOST = 1000  # tags on a page, for who asks; the default is that of all pages


@dataclass
class AllocationTags:
    """What was set by hand: by key, the status and when."""

    changed: dict[str, tuple[str, datetime]] = field(default_factory=dict)

    def hidden(self) -> set[str]:
        """The keys that the bill does not show."""
        return {key for key, (status, _) in self.changed.items() if status == "Inactive"}

    def seen(self, found: Iterable[Line]) -> Iterator[Line]:
        """The bill's lines, with the tags that it shows."""
        hidden = self.hidden()
        for line in found:
            if hidden and hidden & set(line.tags):
                line = replace(line, tags={key: value for key, value in line.tags.items() if key not in hidden})
            yield line


def list_tags(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer ListCostAllocationTags."""
    asked, known = call.parameters, _keys(account)
    if asked.get("Status", "Active") not in STATUS:
        raise ApiError("ValidationException", f"Status '{asked['Status']}' is none of {', '.join(STATUS)}.")
    found = []
    for key in sorted(known):
        status, changed = account.allocation_tags.changed.get(key, ("Active", known[key]))
        kind = "AWSGenerated" if key.startswith("aws:") else "UserDefined"
        wanted = {"Status": status, "Type": kind}
        if any(asked.get(name) not in (None, value) for name, value in wanted.items()):
            continue
        if asked.get("TagKeys") and key not in asked["TagKeys"]:
            continue
        when = changed.strftime("%Y-%m-%dT%H:%M:%SZ")
        found.append({"TagKey": key, "LastUpdatedDate": when, **wanted})
    return page_of(found, call, "CostAllocationTags", most=MOST)


def update_status(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer UpdateCostAllocationTagsStatus; a key that no resource has is an error of its own."""
    wanted, known, errors = call.parameters.get("CostAllocationTagsStatus") or [], _keys(account), []
    if not 1 <= len(wanted) <= 20:
        raise ApiError(
            "ValidationException", f"CostAllocationTagsStatus has {len(wanted)} entries; 1 to 20 are allowed."
        )
    for entry in wanted:
        key, status = str(entry["TagKey"]), str(entry["Status"])
        if status not in STATUS:
            raise ApiError("ValidationException", f"Status '{status}' is none of {', '.join(STATUS)}.")
        if key not in known:
            errors.append({"TagKey": key, "Code": "TagKeysNotFound", "Message": f"Tag key {key} not found"})
        elif account.allocation_tags.changed.get(key, ("Active", None))[0] != status:
            account.allocation_tags.changed[key] = (status, account.clock.now())
    return {"Errors": errors}


def _keys(account: Any) -> dict[str, datetime]:
    """Every key that a resource on the bill has or had, with the first time of any of them."""
    found: dict[str, datetime] = {}
    for metered in account.meter.metered():
        for key in metered_tags(metered):
            found.setdefault(key, metered.runs[0][0])
    for held in account.meter.holdings.all():
        for tag in held.thing.get_tags():
            found[tag["key"]] = min(found.get(tag["key"], held.began), held.began)
    return found
