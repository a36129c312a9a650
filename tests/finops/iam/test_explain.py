"""Words for people, and hostile input. Oracle: sentences written by hand; the standard library for characters."""

import json
from types import MappingProxyType

import pytest

from course_lib.finops.iam import (
    Context,
    Kind,
    Launch,
    MalformedPolicyError,
    Policies,
    PolicyError,
    Request,
    RequestError,
    evaluate,
    evaluate_all,
    explain,
    launch_policy,
    missing,
    parse_policy,
    requests_for_run_instances,
)

ANA = "arn:aws:iam::111122223333:user/ana"


def of(**statement) -> dict:
    return {"Version": "2012-10-17", "Statement": {"Action": "s3:GetObject", "Resource": "*", **statement}}


def test_a_policy_is_explained_statement_by_statement():
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Small",
                "Effect": "Allow",
                "Action": ["ec2:RunInstances", "ec2:CreateTags"],
                "Resource": "arn:aws:ec2:*:*:volume/*",
                "Condition": {
                    "NumericLessThanEquals": {"ec2:VolumeSize": "500"},
                    "StringEqualsIfExists": {"ec2:InstanceMarketType": ["spot", "on-demand"]},
                    "Null": {"aws:TagKeys": "false"},
                },
            },
            {"Effect": "Deny", "NotAction": "iam:*", "NotResource": "arn:aws:s3:::b/*"},
        ],
    }
    assert explain(document).splitlines() == [
        "This identity policy has 2 statements. What no statement allows is denied.",
        "1. Allows ec2:RunInstances and ec2:CreateTags on arn:aws:ec2:*:*:volume/*, if ec2:VolumeSize is at most 500, "
        "ec2:InstanceMarketType, if the request has it, is spot or on-demand and the request has aws:TagKeys (Small).",
        "2. Denies every action except iam:* on every resource except arn:aws:s3:::b/*.",
    ]


@pytest.mark.parametrize(
    ("statement", "note"),
    [
        ({"Effect": "Allow", "Action": "*"}, "is an administrator"),
        ({"Effect": "Allow", "Action": "iam:PassRole"}, "pass every role"),
        ({"Effect": "Allow", "Condition": {"ForAllValues:StringEquals": {"aws:TagKeys": "a"}}}, "add Null: false"),
        (
            {"Effect": "Allow", "Condition": {"StringNotEquals": {"aws:x": "a"}}},
            "also holds for a request without aws:x",
        ),
        (
            {"Effect": "Deny", "Condition": {"StringEquals": {"aws:x": "a"}}},
            "does not hold for a request without aws:x",
        ),
        ({"Effect": "Deny", "Condition": {"BoolIfExists": {"aws:x": "false"}}}, "holds for a request without aws:x"),
    ],
)
def test_what_deserves_a_second_look_gets_a_note(statement, note):
    assert note in explain(of(**statement)).partition("Note: ")[2]


def test_allow_everything_but_is_noted():
    document = {"Statement": {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}}
    assert "those of future services included" in explain(document)


def test_the_generated_launch_policy_needs_no_note():
    assert "Note:" not in explain(launch_policy("111122223333", ["us-east-1"], ["trn1.2xlarge"]))


def test_a_resource_policy_says_who():
    document = of(Effect="Allow", Principal={"AWS": ANA})
    assert f"Allows {ANA} s3:GetObject on every resource." in explain(document, Kind.RESOURCE)
    document = of(Effect="Deny", NotPrincipal={"AWS": [ANA]})
    assert f"Denies everyone except {ANA}" in explain(document, Kind.RESOURCE)


def test_missing_lists_what_is_denied_with_the_way_out():
    region = {"StringEquals": {"aws:RequestedRegion": "us-east-1"}}
    policies = Policies(
        identity=[of(Effect="Allow", Sid="Read", Condition=region), of(Effect="Deny", Sid="No", Action="s3:Put*")]
    )
    wanted = [
        Request(ANA, "s3:GetObject", "arn:aws:s3:::b/k", {"aws:RequestedRegion": "us-east-1"}),
        Request(ANA, "s3:GetObject", "arn:aws:s3:::b/k", {"aws:RequestedRegion": "eu-west-1"}),
        Request(ANA, "s3:PutObject", "arn:aws:s3:::b/k"),
        Request(ANA, "s3:ListBucket", "arn:aws:s3:::b"),
    ]
    advice = [lack.advice for lack in missing(policies, wanted)]
    assert len(advice) == 3
    assert advice[0].startswith("make the request meet aws:RequestedRegion (StringEquals) of statement 'Read'")
    assert "no Allow can help" in advice[1]
    assert advice[2] == "allow s3:ListBucket on arn:aws:s3:::b in the identity policies"
    for lack in missing(policies, wanted):
        assert not lack.decision.allowed


def test_a_read_only_mapping_is_a_document_too():
    """Oracle: the same document as a plain dict."""
    inner = MappingProxyType({"Effect": "Allow", "Action": ("s3:GetObject",), "Resource": "*", "Condition": {}})
    assert parse_policy(MappingProxyType({"Statement": inner})) == parse_policy({"Statement": dict(inner)})


def test_a_huge_policy_is_read_and_decided():
    """Oracle: 2,000 statements by arithmetic: the last one allows, and no limit of size is applied before attaching."""
    rules = [{"Effect": "Allow", "Action": f"s3:Action{n}", "Resource": f"arn:aws:s3:::b{n}/*"} for n in range(2000)]
    text = json.dumps({"Version": "2012-10-17", "Statement": rules})
    assert evaluate(text, Request(ANA, "s3:Action1999", "arn:aws:s3:::b1999/k")).allowed
    assert not evaluate(text, Request(ANA, "s3:Action1999", "arn:aws:s3:::b1998/k")).allowed


@pytest.mark.parametrize("odd", ["\u202e", "\u200b", "\u0130", "\U0001f600", "\ud800", "\x00", "\uff41"])
def test_odd_characters_never_match_their_look_alikes(odd):
    """Oracle: Python's ==: right-to-left marks, zero-width spaces, dotted I, surrogates, full-width letters."""
    document = of(Effect="Allow", Condition={"StringEqualsIgnoreCase": {"aws:RequestTag/o": f"a{odd}"}})
    same = Request(ANA, "s3:GetObject", "*", {"aws:RequestTag/o": f"a{odd}"})
    other = Request(ANA, "s3:GetObject", "*", {"aws:RequestTag/o": "a"})
    assert evaluate(document, same).allowed
    assert not evaluate(document, other).allowed
    with pytest.raises(MalformedPolicyError):
        parse_policy(of(Effect="Allow", Action=f"s3:Get{odd}Object"))
    with pytest.raises(MalformedPolicyError):
        parse_policy(of(Effect=f"Allow{odd}"))
    with pytest.raises(RequestError):
        Request(ANA, f"s3:Get{odd}Object")


def test_an_explanation_shows_control_characters_and_empty_values_in_quotation_marks():
    """Oracle: str.isprintable: what a tag holds must not move the cursor of the terminal that shows it."""
    document = of(Effect="Allow", Condition={"StringEquals": {"aws:RequestTag/o": ["a", ""]}})
    text = evaluate(document, Request(ANA, "s3:GetObject", "*", {"aws:RequestTag/o": "x\x1b[2J\u202e"})).explanation
    assert text.isprintable()
    assert "aws:RequestTag/o StringEquals a or ''; the request has 'x\\x1b[2J\\u202e'" in text


def test_values_of_a_context_become_text_as_services_send_them():
    """Oracle: base64 and ISO 8601 by hand."""
    context = Context({"a:b": True, "a:c": 1.5, "a:d": b"\x00\x01", "a:e": {"y", "x"}, "a:f": 10**30})
    assert context.as_dict() == {"a:b": "true", "a:c": "1.5", "a:d": "AAE=", "a:e": ["x", "y"], "a:f": "1" + "0" * 30}


def test_a_launch_that_is_no_launch_is_refused():
    with pytest.raises(RequestError, match="no resource that a launch creates"):
        Launch("trn1.2xlarge", "us-east-1", {"bucket": {"a": "b"}})
    with pytest.raises(RequestError, match="come together"):
        Launch("trn1.2xlarge", "us-east-1", profile="p")
    with pytest.raises(RequestError, match="no account"):
        requests_for_run_instances("ec2.amazonaws.com", Launch("trn1.2xlarge", "us-east-1"))
    with pytest.raises(RequestError, match="at least one request"):
        evaluate_all(of(Effect="Allow"), [])
    with pytest.raises(PolicyError, match="keep one"):
        Policies(resource=of(Effect="Allow", Principal="*"), trust=of(Effect="Allow", Principal="*"))
