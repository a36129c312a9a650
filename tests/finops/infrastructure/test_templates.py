"""Policies as templates. Oracles: the documents that the boto3 guardrails install, and moto's IAM, which is strict."""

import json

import pytest

from course_lib.finops.errors import FinopsError
from course_lib.finops.guardrails import Budget, Guardrails, Stop, policy_documents
from course_lib.finops.infrastructure import MODULES
from course_lib.finops.infrastructure.templates import TEMPLATES, fill, template

ACCOUNTS = {
    "small": ("123456789012", ["us-east-1"], ["trn1.2xlarge"], ["course-researcher"]),
    "wide": ("999988887777", ["eu-west-1", "us-east-1", "us-west-2"], ["trn1.*", "inf2.xlarge"], ["a", "b"]),
}


def documents(account, regions, types, roles):
    budget = Budget("any", 5.0, stops=(Stop(100, ("ada@example.org",), roles=tuple(roles)),))
    return policy_documents(Guardrails(tuple(regions), tuple(types), (budget,)), account)


def filled(path, account, regions, types, roles):
    given = {
        "account": account,
        "partition": "aws",
        "regions": regions,
        "instance_types": types,
        "stop_role_arns": [f"arn:aws:iam::{account}:role/{role}" for role in roles],
    }
    return fill((MODULES / path).read_text(), given)


@pytest.mark.parametrize("path", TEMPLATES)
@pytest.mark.parametrize("case", ACCOUNTS)
def test_a_filled_template_is_the_policy_that_boto3_installs(path, case):
    assert filled(path, *ACCOUNTS[case]) == documents(*ACCOUNTS[case])[TEMPLATES[path]]


@pytest.mark.parametrize("path", TEMPLATES)
def test_templates_are_those_that_the_generators_make_now(path):
    """If not: python -m course_lib.finops.infrastructure.templates"""
    assert (MODULES / path).read_text() == template(TEMPLATES[path])


def test_every_policy_in_the_modules_is_a_template_of_the_generators():
    there = {str(file.relative_to(MODULES)) for file in MODULES.glob("*/*/policies/*")}
    assert there == set(TEMPLATES)


def test_iam_stores_every_policy(account):
    iam = account.client("iam")
    for path, name in TEMPLATES.items():
        iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(filled(path, *ACCOUNTS["wide"])))
    assert len(iam.list_policies(Scope="Local")["Policies"]) == len(TEMPLATES)


def test_a_variable_of_aws_survives_and_a_missing_value_is_named():
    assert fill('{"a": "$${aws:username} ${x}", "b": ${jsonencode(y)}}', {"x": 1, "y": ["z"]}) == {
        "a": "${aws:username} 1",
        "b": ["z"],
    }
    with pytest.raises(FinopsError, match=r"given .*lacks 'x'.*Remedy|lacks 'x'"):
        fill('{"a": "${x}"}', {})
