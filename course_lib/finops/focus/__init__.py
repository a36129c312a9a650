"""FOCUS 1.2, the open format of cloud bills: read (file or S3), checked row by row, written.

data = read_focus("2026-12.csv.gz")            # or read_focus_s3(account, "bills", "billing/focus", month="2026-12")
data.total("EffectiveCost")                    # Decimal
data.frame()                                   # pandas
"""

from course_lib.finops.focus.buckets import read_focus_s3
from course_lib.finops.focus.columns import COLUMNS, MANDATORY, Column
from course_lib.finops.focus.data import FocusData, Row, gather, month_of, number, tags_of_row
from course_lib.finops.focus.deliveries import ExportPlan, apply_export, plan_export
from course_lib.finops.focus.errors import FocusError
from course_lib.finops.focus.files import make_focus, read_bytes, read_focus, to_bytes, validate_focus, write_focus
from course_lib.finops.focus.validate import Violation, violations

__all__ = [
    "COLUMNS",
    "MANDATORY",
    "Column",
    "ExportPlan",
    "FocusData",
    "FocusError",
    "Row",
    "Violation",
    "apply_export",
    "gather",
    "make_focus",
    "month_of",
    "number",
    "plan_export",
    "read_bytes",
    "read_focus",
    "read_focus_s3",
    "tags_of_row",
    "to_bytes",
    "validate_focus",
    "violations",
    "write_focus",
]
