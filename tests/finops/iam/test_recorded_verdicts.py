"""180 random cases. Oracle: verdicts of another evaluator, iam-simulate 0.1.173 for Node, kept in verdicts.json.

The policies were made at random, 60 for each outcome: one to three statements, up to two conditions each, with
boundary, session policy, SCPs at one or two levels, resource policy, variables, sets and IfExists, in one and in two
accounts. Left out before asking, because the two differ there and AWS's pages are on this side or silent: variables
without a value, version 2008-10-17, NotPrincipal, root and federated sessions, ForAnyValue with IfExists, an empty list
of values, variables in SQS ARNs, NotIpAddress across IP versions, a session policy beside a resource policy.
"""

import json
from collections import Counter
from pathlib import Path

import pytest

from course_lib.finops.iam import Policies, Request, evaluate

CASES = json.loads((Path(__file__).parent / "verdicts.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_the_other_evaluator_decides_the_same(case):
    request = Request(case["caller"], case["action"], case["resource"], case["context"], case["owner"])
    policies = Policies(
        identity=case.get("identity"),
        boundary=case.get("boundary"),
        session=case.get("session"),
        scps=case.get("scps"),
        resource=case.get("resource_policy"),
    )
    assert evaluate(policies, request).outcome.value == case["verdict"]


def test_every_outcome_is_there_sixty_times():
    """Oracle: the count of verdicts in the file, which must not shrink to one easy kind."""
    assert Counter(case["verdict"] for case in CASES) == {"allow": 60, "explicit deny": 60, "implicit deny": 60}
