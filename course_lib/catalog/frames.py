"""The catalog's tables as pandas frames, for chapters and notebooks; the only file here that imports pandas."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from course_lib.catalog.accelerators import DTYPES, accelerator_table
from course_lib.catalog.claims import claim_rows
from course_lib.catalog.instances import instance_table, price_rows
from course_lib.catalog.networks import network_table
from course_lib.catalog.published import published_points

if TYPE_CHECKING:
    import pandas as pd


def _frame(rows: list[dict[str, Any]]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(rows)


def accelerators() -> "pd.DataFrame":
    """One row per accelerator; peak rates as columns `fp32_tflops`, `bf16_tflops`, ... (empty where unknown)."""
    rows = []
    for chip in accelerator_table().values():
        fields = asdict(chip)
        peak, paper = fields.pop("peak_tflops"), fields.pop("paper_tflops")
        rates = {f"{dtype}_tflops": peak.get(dtype) for dtype in DTYPES}
        rows.append({**fields, **rates, "paper_bf16_tflops": paper.get("bf16")})
    last = ["aliases", "notes", "source", "date"]
    frame = _frame(rows)
    return frame[[column for column in frame.columns if column not in last] + last]


def instances() -> "pd.DataFrame":
    """One row per instance type, with the newest on-demand price, its region and its date (empty where unknown)."""
    rows = []
    for machine in instance_table().values():
        price = machine.price("on_demand")
        known = price if price is not None and price.usd_per_hour is not None else None
        priced = {
            "usd_per_hour": known.usd_per_hour if known else None,
            "price_region": known.region if known else None,
            "price_date": known.date if known else None,
            "price_note": price.note if price else "",
        }
        rows.append({**asdict(machine), **priced})
    last = ["notes", "source", "date"]
    frame = _frame(rows)
    return frame[[column for column in frame.columns if column not in last] + last]


def networks() -> "pd.DataFrame":
    """One row per network, with the peak of one link in one direction (by dimension for a torus) in GB/s."""
    rows = []
    for wires in network_table().values():
        peaks = tuple(rate / 1e9 for rate in wires.link_bytes_per_s)
        rows.append({**asdict(wires), "link_gb_per_s": peaks if len(peaks) > 1 else peaks[0]})
    last = ["latency_source", "efficiency_source", "aliases", "notes", "source", "date"]
    frame = _frame(rows)
    return frame[[column for column in frame.columns if column not in last] + last]


def prices() -> "pd.DataFrame":
    """Every dated observation of a price, unknown ones included (`usd_per_hour` empty, `note` says why)."""
    return _frame([asdict(price) for price in price_rows()])


def claims() -> "pd.DataFrame":
    """The widely copied table, one claim per row, beside the official figure.

    `source` and `date` are those of the official figure; where there is none, those of the claim.
    """
    rows = []
    for claim in claim_rows():
        official = claim.official
        rows.append(
            {
                "item": claim.item,
                "quantity": claim.quantity,
                "unit": claim.unit,
                "claimed": claim.claimed,
                "official": official.value if official else None,
                "verdict": claim.verdict,
                "why": claim.why,
                "source": official.source if official else claim.source,
                "date": official.date if official else claim.date,
            }
        )
    return _frame(rows)


def published() -> "pd.DataFrame":
    """Every published figure that the course's formulas are checked against."""
    return _frame([asdict(point) for point in published_points()])
