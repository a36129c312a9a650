"""Guardrails of an account: written down, planned, applied, audited.

Budgets with alerts and actions, required tags, least-privilege policies, roles for what ends instances, and quotas.
"""

from course_lib.finops.guardrails.audit import Audit, Violation, audit, broken_rules
from course_lib.finops.guardrails.documents import PREFIX, STOP, needed_roles, policy_documents
from course_lib.finops.guardrails.errors import GuardrailError
from course_lib.finops.guardrails.example import EXAMPLE
from course_lib.finops.guardrails.lines import Line
from course_lib.finops.guardrails.plan import Applied, GuardrailPlan, apply_guardrails, plan_guardrails
from course_lib.finops.guardrails.quota_codes import QUOTAS, Purchase, VcpuQuota, quota_by_code, quota_of_type
from course_lib.finops.guardrails.quotas import QuotaCheck, check_quota, quota_line
from course_lib.finops.guardrails.read_file import read_guardrails
from course_lib.finops.guardrails.wanted import Alert, Budget, Guardrails, PlannedLaunch, Stop

__all__ = [
    "EXAMPLE",
    "PREFIX",
    "QUOTAS",
    "STOP",
    "Alert",
    "Applied",
    "Audit",
    "Budget",
    "GuardrailError",
    "GuardrailPlan",
    "Guardrails",
    "Line",
    "PlannedLaunch",
    "Purchase",
    "QuotaCheck",
    "Stop",
    "VcpuQuota",
    "Violation",
    "apply_guardrails",
    "audit",
    "broken_rules",
    "check_quota",
    "needed_roles",
    "plan_guardrails",
    "policy_documents",
    "quota_by_code",
    "quota_line",
    "quota_of_type",
    "read_guardrails",
]
