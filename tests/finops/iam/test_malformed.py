"""Documents that are no policies. Oracle: the grammar page of AWS's guide, and moto's own validator of policies.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

import json

import pytest
from moto.iam.exceptions import MalformedPolicyDocument
from moto.iam.policy_validation import IAMPolicyDocumentValidator

from course_lib.finops.iam import Kind, MalformedPolicyError, PolicyError, Request, RequestError, parse_policy

ARN = "arn:aws:s3:::b/*"
GOOD = {"Sid": "Mine", "Effect": "Allow", "Action": "s3:GetObject", "Resource": ARN}


def statement(without: str = "", **changes) -> dict:
    block = {key: value for key, value in {**GOOD, **changes}.items() if key != without}
    return {"Version": "2012-10-17", "Statement": [dict(GOOD, Sid="First"), block]}


def of_resource(**changes) -> dict:
    return {"Version": "2012-10-17", "Statement": {**GOOD, **changes}}


def condition(**operators) -> dict:
    return statement(Condition={name.replace("_", ":"): value for name, value in operators.items()})


# document, what the message must say, whether moto's validator refuses it as well
ROWS = [
    (statement(Effect="Permit"), r"statement 2 \(Sid 'Mine'\): Effect='Permit' must be 'Allow' or 'Deny'", True),
    (statement(Effect="allow"), "written exactly so", True),
    (statement("Effect"), "Effect=None", True),
    (statement(NotAction="s3:*"), "Action or NotAction, and holds both", True),
    (statement("Action"), "Action or NotAction, and holds neither", True),
    (statement("Resource"), "Resource or NotResource, and holds neither", True),
    (statement(NotResource="*"), "Resource or NotResource, and holds both", True),
    (statement(Resource=[]), r"Resource=\[\] must hold at least one value", True),
    (statement(Action=[]), r"Action=\[\] must hold at least one value", True),
    (statement(Action=[["s3:GetObject"]]), "a flat list", True),
    (statement(Resource=[ARN, [ARN]]), "a flat list", True),
    (statement(Action=5), "non-empty string", True),
    (statement(Action=None), "non-empty string", True),
    (statement(Action=""), "non-empty string", True),
    (statement(Action="GetObject"), "service prefix, a colon", True),
    (statement(Action="s3:Get Object"), "service prefix, a colon", False),
    (statement(Action="s*:GetObject"), "wildcards stand in the name only", True),
    (statement(Action="s3:Get\u00d6bject"), "service prefix, a colon", False),
    (statement(Action="s3:${aws:username}"), "service prefix, a colon", True),
    (statement(Resource="my-bucket"), "must be an ARN with six parts", True),
    (statement(Resource="arn:aws:s3:my-bucket"), "must be an ARN with six parts", True),
    (statement(Resource="arn:aws:s3:::"), "names no resource", False),
    (statement(Resource="arn:aws:*:::x"), "without a wildcard", False),
    (statement(Resource="arn:aws:sqs:*:${aws:PrincipalAccount}:q"), "after the fifth colon", False),
    (statement(Resource="arn:aws:s3:::${aws:username"), "can't be read", False),
    (statement(Resource="arn:aws:s3:::${}"), "can't be read", False),
    (statement(Resource="arn:aws:s3:::${aws:PrincipalTag/x,'y'}"), "can't be read", False),
    (statement(Principal="*"), "stands in resource policies only", False),
    (statement(Sid="Not allowed"), "letters A-Z, a-z and digits", False),
    (statement(Sid="First"), "names statements 1 and 2", True),
    (statement(Sid=3), "must be a string", True),
    (statement(effect="Allow"), "Remedy: write 'Effect'", True),
    (statement(Conditions={}), "Remedy: write 'Condition'", True),
    (statement(Comment="x"), "not an element", True),
    (statement(Condition=[]), "Condition=\\[\\] must be an object", True),
    (condition(StringEqual={"aws:x": "y"}), "Remedy: write 'StringEquals'", True),
    (condition(stringequals={"aws:x": "y"}), "Remedy: write 'StringEquals'", True),
    (condition(ForAnyValues_StringEquals={"aws:x": "y"}), "put 'ForAnyValue' or nothing", True),
    (condition(NullIfExists={"aws:x": "true"}), "write 'Null'", False),
    (condition(ForAnyValue_Null={"aws:x": "true"}), "write 'Null'", False),
    (condition(StringEquals="y"), "must hold at least one key", True),
    (condition(StringEquals={}), "must hold at least one key", False),
    (condition(StringEquals={"x": "y"}), "condition key with its prefix", False),
    (condition(StringEquals={"aws:x": []}), "no value to compare", False),
    (condition(StringEquals={"aws:x": [["y"]]}), "flat list", False),
    (condition(StringEquals={"aws:x": None}), "flat list", True),
    (condition(StringEquals={"aws:x": {"y": "z"}}), "flat list", True),
    (condition(NumericEquals={"aws:x": "ten"}), "must be a number", False),
    (condition(NumericEquals={"aws:x": float("nan")}), "must be a number", None),
    (condition(NumericEquals={"aws:x": "${aws:username}"}), "holds a policy variable", False),
    (condition(DateLessThan={"aws:x": "26.11.2026"}), "ISO 8601", True),
    (condition(DateLessThan={"aws:x": "2026-02-30"}), "ISO 8601", False),
    (condition(DateLessThan={"aws:x": "2026-11-26T12:00:00"}), "with a zone", False),
    (condition(DateLessThan={"aws:x": "2026-11-26T12:00:00+99:00"}), "with a zone", None),
    (condition(DateLessThan={"aws:x": "2026-11-26T24:00:00Z"}), "with a zone", None),
    (condition(Bool={"aws:x": "yes"}), "true or false", False),
    (condition(Null={"aws:x": "maybe"}), "true or false", False),
    (condition(BinaryEquals={"aws:x": "not base64!"}), "base64", False),
    (condition(IpAddress={"aws:x": "10.0.0.300"}), "CIDR", False),
    (condition(IpAddress={"aws:x": "10.0.0.0/33"}), "CIDR", False),
    (condition(ArnLike={"aws:x": "ana"}), "six components", False),
    ({"Version": "2012-10-17"}, "Statement=None must be a statement", True),
    ({"Version": "2012-10-17", "Statement": []}, r"Statement=\[\] must be", True),
    ({"Version": "2012-10-17", "Statement": "x"}, "Statement='x' must be", True),
    ({"Version": "2012-10-17", "Statement": ["x"]}, "statement='x' must be an object", True),
    ({"Version": "2020-01-01", "Statement": [GOOD]}, "Version='2020-01-01' must be one of", True),
    ({"Version": ["2012-10-17"], "Statement": [GOOD]}, "must be one of", True),
    ({"Version": "2012-10-17", "Id": "x", "Statement": [GOOD]}, "in resource policies only", False),
    ({"version": "2012-10-17", "Statement": [GOOD]}, "Remedy: write 'Version'", True),
]


@pytest.mark.parametrize(("document", "message", "moto_too"), ROWS)
def test_a_malformed_policy_is_refused_with_place_rule_and_remedy(document, message, moto_too):
    with pytest.raises(MalformedPolicyError, match=message) as found:
        parse_policy(document, name="launch")
    assert "identity policy 'launch'" in str(found.value)
    assert "Remedy: " in str(found.value)
    if moto_too is not None:
        try:
            IAMPolicyDocumentValidator(json.dumps(document)).validate()
            refused = False
        except MalformedPolicyDocument:
            refused = True
        assert refused is moto_too, "moto's validator changed its mind: compare it with the grammar page again"


@pytest.mark.parametrize(
    "document",
    [
        statement(),
        statement(Condition={}),
        statement(Action=["s3:Get*", "ec2:Describe*"], Resource=["*"]),
        statement("Action", NotAction="iam:*"),
        statement("Resource", NotResource=[ARN]),
        condition(NumericLessThanIfExists={"s3:max-keys": ["10"]}, ForAllValues_StringLike={"aws:TagKeys": ["a*"]}),
        condition(Bool={"aws:SecureTransport": True}, Null={"aws:TagKeys": "false"}),
        {"Version": "2012-10-17", "Statement": GOOD},
    ],
)
def test_what_is_well_formed_is_accepted_here_and_by_moto(document):
    assert parse_policy(document).statements[0].effect.value == "Allow"
    assert parse_policy(json.dumps(document, indent=3)) == parse_policy(document)
    IAMPolicyDocumentValidator(json.dumps(document)).validate()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"Version": "2012-10-17",\n "Statement": [{"Effect": "Allow",}]}', "line 2, column 35"),
        ('{"Version": "2012-10-17",\n "Statement": [{"Effect": "Allow" "Action": 1}]}', "line 2"),
        ("", "line 1, column 1"),
        ("[]", "must be a JSON object"),
        ('{"Statement": {"Effect": "Allow", "Effect": "Deny"}}', "Effect='Deny' is there twice"),
        ('{"Statement": {"Sid": NaN}}', "no JSON value"),
        ('{"Statement": \u201cx\u201d}', r"U\+201C"),
        ("[" * 100_000, "nested too deeply"),
        ('{"Statement": {"Effect": "Allow", "Action": 5, "Resource": "*"}}', "non-empty string"),
    ],
)
def test_json_that_cannot_be_read_is_shown_with_its_place(text, message):
    """Oracle: Python's json for line and column; the grammar page: no key twice in one element."""
    with pytest.raises(MalformedPolicyError, match=message):
        parse_policy(text)


def test_a_number_keeps_its_digits():
    """Oracle: the grammar page: quotation marks are optional for numbers. A float would lose the last digits."""
    text = json.dumps(condition(NumericEquals={"s3:max-keys": "N"})).replace('"N"', "12345678901234567890.10")
    assert parse_policy(text).statements[1].conditions[0].values[0].text == "12345678901234567890.10"


@pytest.mark.parametrize(
    ("principal", "message"),
    [
        ({}, "must be '\\*' or an object"),
        ("ana", "must be '\\*' or an object"),
        ({"Aws": "111122223333"}, "write 'AWS'"),
        ({"AWS": []}, "at least one value"),
        ({"AWS": "1111"}, "must be an account number"),
        ({"Service": "*.amazonaws.com"}, "wildcard"),
    ],
)
def test_principals_are_checked(principal, message):
    """Oracle: page reference_policies_elements_principal."""
    with pytest.raises(MalformedPolicyError, match=message):
        parse_policy(of_resource(Principal=principal), Kind.RESOURCE)


def test_not_principal_with_allow_and_resource_in_a_trust_policy_are_refused():
    """Oracle: pages reference_policies_elements_notprincipal and id_roles_terms-and-concepts."""
    with pytest.raises(MalformedPolicyError, match="must not stand with Allow"):
        parse_policy(of_resource(NotPrincipal={"AWS": "111122223333"}), Kind.RESOURCE)
    with pytest.raises(MalformedPolicyError, match="trust policy"):
        parse_policy(of_resource(Principal="*"), Kind.TRUST)


USER = "arn:aws:iam::111122223333:user/ana"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((USER, "s3:Get*"), "without wildcards"),
        ((USER, "GetObject"), "must be one action"),
        ((USER, "s3:GetObject", "bucket"), "must be an ARN"),
        ((USER, "s3:GetObject", "arn:aws:s3:b"), "six parts"),
        (("ana", "s3:GetObject"), "no principal"),
        (("arn:aws:iam::111122223333:group/g", "s3:GetObject"), "a group makes no requests"),
        (("arn:aws:sts::111122223333:assumed-role/dev", "s3:GetObject"), "no principal"),
        (("arn:aws:iam::111122223333:root/x", "s3:GetObject"), "no principal"),
        ((USER, "s3:GetObject", "*", {"aws:X": "1", "AWS:x": "2"}), "twice"),
        ((USER, "s3:GetObject", "*", {"aws:x": None}), "must be a string"),
        ((USER, "s3:GetObject", "*", {"aws:x": [["a"]]}), "flat list"),
        ((USER, "s3:GetObject", "*", {"aws:x": float("inf")}), "finite"),
        ((USER, "s3:GetObject", "*", {"aws:username": "bob"}), "contradicts"),
        ((USER, "s3:GetObject", "*", {"": "x"}), "non-empty"),
        ((USER, "s3:GetObject", "*", {}, "12"), "12 digits"),
    ],
)
def test_a_request_that_nobody_could_send_is_refused(arguments, message):
    """Oracle: the page on the request context: one action, one resource, keys without regard to case."""
    with pytest.raises(RequestError, match=message) as found:
        Request(*arguments)
    assert isinstance(found.value, PolicyError)
