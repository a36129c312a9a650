"""Compliance patterns: checks that read an account, and a report that maps them to controls and says what is left.

No result here is an attestation. A check touches part of a control; people decide, document and answer for the rest.
"""

from course_lib.finops.compliance.administrators import may_do_everything
from course_lib.finops.compliance.alike import together
from course_lib.finops.compliance.checks import CHECKS, Check, read_only_policy
from course_lib.finops.compliance.controls import FRAMEWORKS, Control, all_controls, controls_of, uncovered
from course_lib.finops.compliance.errors import ComplianceError
from course_lib.finops.compliance.report import NO_ATTESTATION, STATES, Report
from course_lib.finops.compliance.results import Finding, Result, Settings, Status
from course_lib.finops.compliance.run import look

__all__ = [
    "CHECKS",
    "FRAMEWORKS",
    "NO_ATTESTATION",
    "STATES",
    "Check",
    "ComplianceError",
    "Control",
    "Finding",
    "Report",
    "Result",
    "Settings",
    "Status",
    "all_controls",
    "controls_of",
    "look",
    "may_do_everything",
    "read_only_policy",
    "together",
    "uncovered",
]
