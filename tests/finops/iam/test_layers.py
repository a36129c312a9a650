"""Several policy types together. Oracle: the pages "denyallow", "cross-account" and "SCP evaluation" of AWS's guides.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html
"""

import pytest

from course_lib.finops.iam import FULL_ACCESS, Layer, Policies, Request, evaluate, evaluate_all

A, B = "111122223333", "444455556666"
USER, ROOT = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:root"
ROLE, SESSION = f"arn:aws:iam::{A}:role/dev", f"arn:aws:sts::{A}:assumed-role/dev/s1"
FEDERATED, LINKED = f"arn:aws:sts::{A}:federated-user/fed", f"arn:aws:iam::{A}:role/aws-service-role/x.amazonaws.com/X"


def allow(action: str = "s3:GetObject", **more) -> dict:
    return {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": action, "Resource": "*", **more}}


def deny(**more) -> dict:
    return {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "s3:*", "Resource": "*", **more}}


def by(principal: object) -> dict:
    return allow(Principal=principal)


OTHER = allow("s3:PutObject")  # a policy that has nothing to say about the request
YES, NO, NEVER = "allow", "implicit deny", "explicit deny"

# caller, policies, expected outcome, rule
ONE_ACCOUNT = [
    (USER, {}, NO, "everything is denied by default"),
    (USER, {"identity": allow()}, YES, "an identity policy allows"),
    (USER, {"identity": [OTHER, allow()]}, YES, "one of several allows"),
    (USER, {"identity": [allow(), deny()]}, NEVER, "an explicit deny wins"),
    (USER, {"identity": allow(), "resource": deny(Principal="*")}, NEVER, "a deny of the resource wins"),
    (USER, {"identity": allow(), "boundary": deny()}, NEVER, "a deny of the boundary wins"),
    (USER, {"identity": allow(), "scps": [FULL_ACCESS, deny()]}, NEVER, "a deny of an SCP wins"),
    (USER, {"identity": allow(), "boundary": allow()}, YES, "identity and boundary"),
    (USER, {"identity": allow(), "boundary": OTHER}, NO, "a boundary limits"),
    (USER, {"boundary": allow()}, NO, "a boundary grants nothing"),
    (USER, {"identity": allow(), "scps": [FULL_ACCESS]}, YES, "SCP and identity"),
    (USER, {"identity": allow(), "scps": [OTHER]}, NO, "an SCP limits"),
    (USER, {"scps": [FULL_ACCESS]}, NO, "an SCP grants nothing"),
    (USER, {"identity": allow(), "scps": []}, NO, "no SCP at a level allows nothing"),
    (USER, {"identity": allow(), "scps": [[FULL_ACCESS], [FULL_ACCESS], [OTHER]]}, NO, "every level must allow"),
    (USER, {"identity": allow(), "scps": [[FULL_ACCESS], [OTHER, FULL_ACCESS]]}, YES, "one SCP of a level is enough"),
    (USER, {"resource": by({"AWS": USER})}, YES, "a resource policy alone allows"),
    (USER, {"resource": by("*")}, YES, "everyone is the user, too"),
    (USER, {"resource": by({"AWS": A})}, NO, "the account: its policies must allow as well"),
    (USER, {"resource": by({"AWS": A}), "identity": allow()}, YES, "the account: its policies allow as well"),
    (USER, {"resource": by({"AWS": USER}), "boundary": OTHER}, YES, "a user named is not limited by the boundary"),
    (USER, {"resource": by({"AWS": USER}), "scps": [OTHER]}, NO, "but by SCPs"),
    (USER, {"resource": by({"AWS": USER}), "boundary": deny()}, NEVER, "and by an explicit deny"),
    (SESSION, {"identity": allow()}, YES, "a role session has the role's policies"),
    (SESSION, {"identity": allow(), "session": allow()}, YES, "identity and session policy"),
    (SESSION, {"identity": allow(), "session": OTHER}, NO, "a session policy limits"),
    (SESSION, {"identity": OTHER, "session": allow()}, NO, "a session policy grants nothing"),
    (SESSION, {"identity": allow(), "session": [OTHER, allow()]}, YES, "one of several session policies"),
    (SESSION, {"identity": allow(), "boundary": OTHER}, NO, "a boundary limits"),
    (SESSION, {"resource": by({"AWS": ROLE})}, YES, "a role named needs no identity policy"),
    (SESSION, {"resource": by({"AWS": ROLE}), "boundary": OTHER}, NO, "but the boundary limits it"),
    (SESSION, {"resource": by({"AWS": ROLE}), "session": OTHER}, NO, "and the session policy"),
    (SESSION, {"resource": by({"AWS": SESSION}), "boundary": OTHER}, YES, "a session named is not limited"),
    (SESSION, {"resource": by({"AWS": SESSION}), "session": OTHER}, YES, "a session named is not limited"),
    (FEDERATED, {"identity": allow()}, NO, "a federated session without session policy may do nothing"),
    (FEDERATED, {"identity": allow(), "session": allow()}, YES, "with one, the intersection"),
    (FEDERATED, {"resource": by({"AWS": FEDERATED})}, YES, "a federated session named"),
    (ROOT, {}, YES, "root has full access"),
    (ROOT, {"scps": [OTHER]}, NO, "but for SCPs"),
    (ROOT, {"resource": deny(Principal={"AWS": ROOT})}, NEVER, "and explicit denies"),
    (LINKED, {"identity": allow(), "scps": [deny()]}, YES, "SCPs restrict no service-linked role"),
    ("ec2.amazonaws.com", {"resource": by({"Service": "ec2.amazonaws.com"})}, YES, "a service by the resource policy"),
    ("ec2.amazonaws.com", {"resource": by({"AWS": A})}, NO, "a service is in no account"),
    ("*", {"resource": by("*")}, YES, "an unsigned request to a public object"),
    ("*", {"identity": allow(), "resource": by({"AWS": A})}, NO, "an unsigned request has no identity"),
]  # fmt: skip
# the same for a bucket of account B
TWO_ACCOUNTS = [
    (USER, {"identity": allow()}, NO, "the resource's side must allow as well"),
    (USER, {"resource": by({"AWS": USER})}, NO, "the caller's side must allow as well"),
    (USER, {"identity": allow(), "resource": by({"AWS": USER})}, YES, "both sides"),
    (USER, {"identity": allow(), "resource": by({"AWS": A})}, YES, "the account named, and its administrator allows"),
    (USER, {"identity": allow(), "resource": by("*")}, YES, "everyone"),
    (USER, {"identity": allow(), "resource": by({"AWS": B})}, NO, "another account named"),
    (USER, {"identity": allow(), "resource": by({"AWS": USER}), "boundary": OTHER}, NO, "the boundary limits"),
    (USER, {"identity": allow(), "resource": by({"AWS": USER}), "scps": [OTHER]}, NO, "the SCPs limit"),
    (USER, {"identity": allow(), "resource": deny(Principal="*")}, NEVER, "a deny on either side"),
    (SESSION, {"identity": allow(), "resource": by({"AWS": ROLE}), "session": OTHER}, NO, "the session policy limits"),
    (SESSION, {"identity": allow(), "resource": by({"AWS": SESSION})}, YES, "a session named"),
    (ROOT, {"resource": by({"AWS": A})}, YES, "root, if the resource's side allows"),
    (ROOT, {}, NO, "root has full access in its own account only"),
]


@pytest.mark.parametrize(("caller", "given", "expected", "rule"), ONE_ACCOUNT)
def test_one_account(caller, given, expected, rule):
    decision = evaluate(Policies(**given), Request(caller, "s3:GetObject", "arn:aws:s3:::b/k", resource_account=A))
    assert decision.outcome.value == expected, f"{rule}: {decision.explanation}"


@pytest.mark.parametrize(("caller", "given", "expected", "rule"), TWO_ACCOUNTS)
def test_two_accounts(caller, given, expected, rule):
    decision = evaluate(Policies(**given), Request(caller, "s3:GetObject", "arn:aws:s3:::b/k", resource_account=B))
    assert decision.outcome.value == expected, f"{rule}: {decision.explanation}"


@pytest.mark.parametrize(
    ("trust", "identity", "expected"),
    [
        ({"AWS": USER}, None, YES),
        ({"AWS": A}, None, NO),
        ({"AWS": A}, "sts:AssumeRole", YES),
        ({"AWS": B}, "sts:AssumeRole", NO),
    ],
)
def test_a_role_is_taken_on_only_if_its_trust_policy_allows(trust, identity, expected):
    """Oracle: the denyallow page, step 3: trust policies and key policies must explicitly allow the principal."""
    document = {"Statement": {"Effect": "Allow", "Principal": trust, "Action": "sts:AssumeRole"}}
    policies = Policies(identity=identity and allow(identity), trust=document)
    assert evaluate(policies, Request(USER, "sts:AssumeRole", ROLE)).outcome.value == expected


def test_a_key_is_used_only_if_its_policy_allows():
    """Oracle: the same sentence: an identity policy alone does not open a KMS key."""
    request = Request(USER, "kms:Decrypt", f"arn:aws:kms:us-east-1:{A}:key/k")
    assert not evaluate(allow("kms:*"), request).allowed
    delegated = {"Statement": {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}}
    assert evaluate(Policies(identity=allow("kms:*"), resource=delegated), request).allowed


def test_the_decision_names_statements_and_layer():
    """Oracle: the brief's own example of an explanation, and the flow chart's order: SCPs before identity policies."""
    policy = allow("ec2:RunInstances", Sid="OnlyTrn", Condition={"StringEquals": {"ec2:InstanceType": "trn1.2xlarge"}})
    instance = f"arn:aws:ec2:us-east-1:{A}:instance/*"
    asked = Request(USER, "ec2:RunInstances", instance, {"ec2:InstanceType": "p5.48xlarge"})
    decision = evaluate(policy, asked)
    assert decision.explanation.startswith(
        "denied: statement 'OnlyTrn' of identity policy allows ec2:RunInstances only if ec2:InstanceType StringEquals "
        "trn1.2xlarge; the request has p5.48xlarge"
    )
    assert [match.statement.sid for match in decision.statements] == ["OnlyTrn"]
    assert decision.missing is Layer.IDENTITY
    assert evaluate(Policies(identity=policy, scps=[OTHER]), asked).missing is Layer.SCP
    other = Request(USER, "ec2:RunInstances", instance, {"ec2:InstanceType": "trn1.2xlarge"})
    assert not evaluate_all(policy, [other, asked]).allowed
    with pytest.raises(TypeError, match="allowed"):
        bool(decision)
