"""Policies for Terraform, the same documents that `course_lib.finops.guardrails` installs: one source, two ways.

The files are templates in which account, regions and the like are open. `python -m course_lib.finops.infrastructure
.templates` writes them again after a generator has changed. Source of the template language:
https://developer.hashicorp.com/terraform/language/functions/templatefile
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from course_lib.finops.errors import FinopsError
from course_lib.finops.guardrails import Budget, Guardrails, Stop, policy_documents
from course_lib.finops.infrastructure.places import MODULES

# Values that occur nowhere else in a policy; each is replaced by its variable.
ACCOUNT, REGION, TYPE, ROLE = "000011112222", "zz-standin-1", "standin.type", "standin-role"

TEMPLATES = {
    "aws/iam/policies/boundary.json.tftpl": "guardrail-boundary",
    "aws/iam/policies/costs.json.tftpl": "guardrail-costs",
    "aws/iam/policies/ends-leases.json.tftpl": "guardrail-ends-leases",
    "aws/iam/policies/launcher.json.tftpl": "guardrail-launcher",
    "aws/iam/policies/reaper.json.tftpl": "guardrail-reaper",
    "aws/iam/policies/researcher.json.tftpl": "guardrail-researcher",
    "aws/budget/policies/budgets.json.tftpl": "guardrail-budgets",
    "aws/budget/policies/budget-stop.json.tftpl": "guardrail-budget-stop",
}


def template(name: str) -> str:
    """The text of a template: a policy with its arguments left open.

    Args:
        name: of the policy, a value of `TEMPLATES`.
    """
    budget = Budget("standin", 1.0, stops=(Stop(100, ("standin@example.org",), roles=(ROLE,)),))
    document = policy_documents(Guardrails((REGION,), (TYPE,), (budget,)), ACCOUNT)[name]
    text = json.dumps(document, indent=2)
    text = text.replace("${", "$${")  # AWS's own variables, which Terraform must leave alone
    for variable, value in (
        ("regions", f'"{REGION}"'),
        ("instance_types", f'"{TYPE}"'),
        ("stop_role_arns", f'"arn:aws:iam::{ACCOUNT}:role/{ROLE}"'),
    ):
        text = re.sub(rf"\[\s*{re.escape(value)}\s*\]", f"${{jsonencode({variable})}}", text)
    return text.replace(ACCOUNT, "${account}").replace("arn:aws:", "arn:${partition}:") + "\n"


def fill(text: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What Terraform's templatefile makes of a template of ours, without Terraform.

    Understood are ${name}, ${jsonencode(name)} and $${ for a literal ${; the templates use nothing else.

    Args:
        text: of the template.
        given: values by name.

    Returns:
        The policy document.

    Raises:
        FinopsError: the template asks for a value that is not given.
    """

    def value(found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        name = found[1] or found[2]
        if name not in given:
            raise FinopsError.of("given", sorted(given), f"lacks {name!r}", "give every value that the template names")
        return json.dumps(given[name]) if found[1] else str(given[name])

    filled = re.sub(r"\$\$\{|\$\{jsonencode\((\w+)\)\}|\$\{(\w+)\}", value, text)
    document: dict[str, Any] = json.loads(filled)
    return document


def write_templates() -> None:
    """Write every template into its module."""
    for path, name in TEMPLATES.items():
        (MODULES / path).write_text(template(name))


if __name__ == "__main__":
    write_templates()
