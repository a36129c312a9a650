"""Guardrails for a small account, and researchers whom they guard."""

import pytest

from course_lib.finops.guardrails import Alert, Budget, Guardrails, PlannedLaunch, Stop

ME = "123456789012"


@pytest.fixture
def researchers(account):
    """The group that the guardrails give permissions to, with one person in it."""
    iam = account.client("iam")
    iam.create_group(GroupName="researchers")
    iam.create_user(UserName="ada")
    iam.add_user_to_group(GroupName="researchers", UserName="ada")
    return iam


@pytest.fixture
def wanted():
    """Makes guardrails; parts can be given."""

    def make(limit=500.0, **more):
        mails = ("ada@example.org",)
        budget = Budget(
            "bert",
            limit,
            {"project": "bert"},
            alerts=(Alert(80, mails), Alert(100, mails, "forecasted")),
            stops=(Stop(100, mails, groups=("researchers",)),),
        )
        given = {
            "regions": ("us-east-1", "eu-west-1"),
            "instance_types": ("trn1.*", "p5.48xlarge"),
            "budgets": (budget,),
            "researchers": ("researchers",),
            "launches": (PlannedLaunch("trn1.2xlarge", 2, "us-east-1"),),
        }
        return Guardrails(**{**given, **more})

    return make
