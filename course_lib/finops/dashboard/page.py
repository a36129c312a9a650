"""One static page: no script, no request, no file beside it; the same from a disk and from a bucket.

The policy in its head lets nothing load but its own style sheet, named by its digest, so that even markup that slipped
through could fetch and run nothing. Source: https://www.w3.org/TR/CSP3/ (hash sources for styles).
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode

from course_lib.finops.dashboard.data import DashboardData, Unread
from course_lib.finops.dashboard.holdings import advice_part, chargeback_part, runs_part
from course_lib.finops.dashboard.markup import Markup, element, usd
from course_lib.finops.dashboard.spending import anomalies_part, forecast_part, open_anomalies, spend_parts
from course_lib.finops.dashboard.style import CSS
from course_lib.finops.errors import FinopsError

LARGEST_BYTES = 1_000_000
# An access key's id, and account numbers inside of ARNs: error messages and commands may hold them.
KEY_ID = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")
ARN = re.compile(r"(\barn:aws[\w-]*:[\w-]*:[\w-]*:)(\d{8})(\d{4})\b")


def render(data: DashboardData, *, title: str = "Spend", show_account: bool = False) -> str:
    """The page as HTML.

    Args:
        data: from `collect`.
        title: in its head.
        show_account: write the account's number in full; else its last four digits alone.

    Raises:
        FinopsError: if the page would be larger than 1 MB.
    """
    page = _document(title, _style(), _body(data, title))
    page = KEY_ID.sub(r"(access key)", page)
    if not show_account:
        page = ARN.sub(r"\1********\3", page).replace(data.account, f"********{data.account[-4:]}")
    size = len(page.encode())
    if size > LARGEST_BYTES:
        raise FinopsError.of("page", f"{size:,} bytes", f"is above {LARGEST_BYTES:,}", "collect fewer days or regions")
    return page


def _style() -> Markup:
    return Markup(CSS.strip())


def _document(title: str, style: Markup, body: Markup) -> str:
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=Markup(policy)),
        element("meta", name="viewport", content="width=device-width,initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="robots", content="noindex,nofollow"),
        element("title", title),
        element("style", style),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _body(data: DashboardData, title: str) -> Markup:
    parts = (
        ("now", "What runs now", runs_part(data)),
        ("spend", "What was spent", spend_parts(data)),
        ("forecast", "Where the month will end", forecast_part(data)),
        ("anomalies", "What is out of the ordinary", anomalies_part(data)),
        ("chargeback", "Who pays", chargeback_part(data)),
        ("advice", "What could be saved", advice_part(data)),
    )
    sections = [
        element(
            "section", element("h2", words, id=f"{anchor}-title"), content, id=anchor, aria_labelledby=f"{anchor}-title"
        )
        for anchor, words, content in parts
    ]
    jump = element("a", "Skip to the content", href="#content", class_="skip")
    links = [element("a", words, href=f"#{anchor}") for anchor, words, _ in parts]
    nav = element("nav", *(piece for link in links for piece in (link, " ")), aria_label="Parts of this page")
    return element(
        "body",
        jump,
        element("header", element("h1", title), _when(data), nav),
        element("main", _tiles(data), _missing(data), *sections, id="content", tabindex="-1"),
        _foot(data),
    )


def _when(data: DashboardData) -> Markup:
    moment = element("time", f"{data.now:%Y-%m-%d %H:%M} UTC", datetime=f"{data.now:%Y-%m-%dT%H:%M:%SZ}")
    hours = data.late.total_seconds() / 3600
    return element(
        "p",
        "Account ",
        data.account,
        ", as of ",
        moment,
        f". The bill is up to {hours:.0f} hours late, so its last days are drawn paler. What runs now was looked at "
        "live, and its price is an estimate for instances alone.",
    )


def _tiles(data: DashboardData) -> Markup:
    tiles: list[tuple[str, str, str]] = []
    if isinstance(data.month, Unread):
        tiles.append(("This month so far", "not read", ""))
    else:
        late = f"{data.month.incomplete} of {data.month.days} days not complete"
        tiles.append((f"{data.month.month} so far", f"{usd(data.month.usd)} USD", late))
    if isinstance(data.forecast, Unread) or isinstance(data.month, Unread):
        tiles.append(("Forecast for the month", "not read", ""))
    else:
        end = data.forecast.month(data.month.month)
        against = f"budget {usd(data.budget.limit_usd)}" if data.budget else "no budget"
        interval = f"{data.forecast.level:.0%}: {usd(end.lower_usd)} to {usd(end.upper_usd)}; {against}"
        tiles.append(("Forecast for the month", f"{usd(end.usd)} USD", interval))
    if isinstance(data.runs, Unread):
        tiles.append(("Runs now", "not read", ""))
    else:
        count = len(data.runs.leases)
        ended = sum(one.ends is None or one.ends <= data.now for one in data.runs.leases)
        note = f"{count} instances, {ended} without a lease that holds"
        tiles.append(("Runs now", f"{usd(data.runs.running.usd_per_hour)} USD/h", note))
    if isinstance(data.anomalies, Unread):
        tiles.append(("Anomalies that go on", "not read", ""))
    else:
        going = open_anomalies(data)
        tiles.append(("Anomalies that go on", str(len(going)), f"{len(data.anomalies)} in {data.days} days"))
    if isinstance(data.advice, Unread):
        tiles.append(("Could be saved a month", "not read", ""))
    else:
        told = f"{len(data.advice.recommendations)} recommendations"
        tiles.append(("Could be saved a month", f"{usd(data.advice.usd_per_month)} USD", told))
    items = [element("li", words, element("b", amount), element("small", note)) for words, amount, note in tiles]
    return element("ul", *items, class_="tiles", aria_label="Key figures")


def _missing(data: DashboardData) -> Markup:
    if not data.unread:
        return Markup("")
    names = ", ".join(data.unread)
    return element("p", f"Could not be read: {names}. The reasons stand in the parts below.", class_="warn")


def _foot(data: DashboardData) -> Markup:
    told = (
        f"Cost Explorer was asked {data.calls} times for this page: {data.usd_of_reading} USD. Amounts of the bill are "
        "UnblendedCost in USD. This page loads nothing and runs no script."
    )
    return element("footer", element("p", element("small", told)))
