"""The AWS modules under the real Terraform. Oracle: terraform itself, its test runner and the provider's schema."""

import re

import pytest


def test_files_are_formatted(terraform):
    terraform.run("all", "fmt", "-check", "-recursive", "-diff")


@pytest.mark.slow
def test_bad_variables_are_refused(terraform):
    terraform.init("aws/account")
    told = terraform.run("aws/account", "test", "-filter=tests/variables.tftest.hcl").stdout
    assert re.search(r"Success! 9 passed, 0 failed\.", told), told


@pytest.mark.slow
def test_a_variable_without_its_validation_is_caught(terraform):
    """The runs above can fail: without the rule about the end, one of them does."""
    variables = terraform.folder / "aws/lab-box/variables.tf"
    kept = variables.read_text()
    terraform.init("aws/account")
    try:
        variables.write_text(kept.replace("var.ttl_hours >= 1 / 6 && var.ttl_hours <= 336", "var.ttl_hours > 100"))
        assert variables.read_text() != kept
        told = terraform.run("aws/account", "test", "-filter=tests/variables.tftest.hcl", good=(1,))
    finally:
        variables.write_text(kept)
    assert 'run "box_for_three_weeks"... fail' in told.stdout


@pytest.mark.slow
def test_modules_are_valid_and_plan_what_they_promise(terraform):
    terraform.init("aws/account")
    told = terraform.run("aws/account", "test", "-filter=tests/plans.tftest.hcl").stdout
    assert re.search(r"Success! 8 passed, 0 failed\.", told), told
    terraform.init("root")
    terraform.run("root", "validate")
