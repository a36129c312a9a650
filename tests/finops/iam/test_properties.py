"""Laws of the evaluation. Oracle: Python's re for wildcards, and the laws themselves, tried by Hypothesis."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from course_lib.finops.iam import FULL_ACCESS, Context, Outcome, Policies, PolicyError, Request, evaluate, parse_policy
from course_lib.finops.iam.variables import read_template
from course_lib.finops.iam.wildcards import matches, matches_text, tokens_of

USER = "arn:aws:iam::111122223333:user/ana"
ACTIONS = ["s3:GetObject", "s3:PutObject", "ec2:RunInstances", "s3:*", "*", "s3:?etObject", "EC2:run*"]
RESOURCES = [
    "*",
    "arn:aws:s3:::b/*",
    "arn:aws:s3:::b/${aws:username}/*",
    "arn:aws:s3:::b/${aws:PrincipalTag/t, 'ana'}/?",
    "arn:aws:ec2:*:*:*",
]
CONDITIONS = [
    {},
    {"StringEquals": {"aws:RequestedRegion": ["us-east-1"]}},
    {"StringNotEquals": {"AWS:requestedregion": "us-east-1"}},
    {"ForAllValues:StringLike": {"aws:TagKeys": ["a*", "b"]}},
    {"ForAnyValue:StringNotEquals": {"aws:TagKeys": "a1"}},
    {"NumericLessThanEqualsIfExists": {"ec2:VolumeSize": 100}},
    {"Null": {"aws:TagKeys": "true"}, "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
]


@st.composite
def statements(draw, effects=("Allow", "Deny")):
    return {
        "Effect": draw(st.sampled_from(effects)),
        draw(st.sampled_from(["Action", "Action", "NotAction"])): draw(st.lists(st.sampled_from(ACTIONS), min_size=1)),
        draw(st.sampled_from(["Resource", "Resource", "NotResource"])): draw(
            st.lists(st.sampled_from(RESOURCES), min_size=1, max_size=2)
        ),
        "Condition": draw(st.sampled_from(CONDITIONS)),
    }


blocks = st.lists(statements(), min_size=1, max_size=5)
contexts = st.fixed_dictionaries(
    {},
    optional={
        "aws:RequestedRegion": st.sampled_from(["us-east-1", "eu-west-1", ""]),
        "aws:TagKeys": st.lists(st.sampled_from(["a1", "b", "c"]), max_size=3, unique=True),
        "ec2:VolumeSize": st.integers(0, 200),
        "aws:SourceIp": st.sampled_from(["10.1.2.3", "192.0.2.1", "::1"]),
    },
)
requests = st.builds(
    lambda action, resource, context: Request(USER, action, resource, context),
    st.sampled_from(["s3:GetObject", "s3:PutObject", "ec2:RunInstances"]),
    st.sampled_from(
        ["*", "arn:aws:s3:::b/ana/x", "arn:aws:s3:::b/bob/xy", "arn:aws:ec2:us-east-1:111122223333:volume/v"]
    ),
    contexts,
)


def policy(rules: list[dict]) -> dict:
    return {"Version": "2012-10-17", "Statement": rules}


def outcome(rules: list[dict], request: Request, **more) -> Outcome:
    return evaluate(Policies(identity=policy(rules), **more), request).outcome


@given(blocks, statements(effects=("Deny",)), requests)
def test_one_more_deny_never_allows_more(rules, one, request):
    if outcome([*rules, one], request) is Outcome.ALLOW:
        assert outcome(rules, request) is Outcome.ALLOW


@given(blocks, statements(effects=("Allow",)), requests)
def test_one_more_allow_never_takes_anything_away(rules, one, request):
    before, after = outcome(rules, request), outcome([*rules, one], request)
    assert after is before or (before is Outcome.IMPLICIT_DENY and after is Outcome.ALLOW)


@given(blocks, requests, st.randoms(use_true_random=False))
def test_the_order_and_the_number_of_copies_of_statements_are_irrelevant(rules, request, random):
    shuffled = [*rules, *rules[:2]]
    random.shuffle(shuffled)
    assert outcome(rules, request) is outcome(shuffled, request)


@given(blocks, requests)
def test_several_policies_are_their_statements_together(rules, request):
    apart = evaluate([policy([one]) for one in rules], request).outcome
    assert apart is outcome(rules, request)


@given(blocks, blocks, requests)
def test_a_boundary_an_scp_and_a_session_policy_only_ever_take_away(rules, limits, request):
    free = outcome(rules, request)
    for limit in ({"boundary": policy(limits)}, {"scps": [policy(limits)]}, {"session": policy(limits)}):
        limited = outcome(rules, request, **limit)
        assert limited is not Outcome.ALLOW or free is Outcome.ALLOW
        assert (limited is Outcome.ALLOW) is (free is Outcome.ALLOW and outcome(limits, request) is Outcome.ALLOW)
    assert outcome(rules, request, boundary=FULL_ACCESS, scps=[FULL_ACCESS]) is free


@given(blocks, requests)
def test_the_case_of_actions_and_keys_is_irrelevant(rules, request):
    def upper(rule):
        keys = {name: {key.upper(): value for key, value in keys.items()} for name, keys in rule["Condition"].items()}
        actions = {name: [one.upper() for one in rule[name]] for name in ("Action", "NotAction") if name in rule}
        return {**rule, **actions, "Condition": keys}

    assert outcome([upper(rule) for rule in rules], request) is outcome(rules, request)


@given(blocks, requests)
def test_swapping_allow_and_deny_swaps_the_outcomes(rules, request):
    """A request is explicitly denied if and only if the swapped policy does anything at all to it but deny it."""
    swapped = [{**rule, "Effect": {"Allow": "Deny", "Deny": "Allow"}[rule["Effect"]]} for rule in rules]
    here, there = outcome(rules, request), outcome(swapped, request)
    assert (here is Outcome.ALLOW) <= (there is Outcome.EXPLICIT_DENY)
    assert (here is Outcome.IMPLICIT_DENY) is (there is Outcome.IMPLICIT_DENY)


@given(blocks, requests)
def test_a_decision_always_says_why(rules, request):
    decision = evaluate(policy(rules), request)
    assert decision.explanation.startswith(("allowed: ", "denied", "explicitly denied: "))
    assert decision.explanation.endswith(".")
    assert decision.allowed <= bool(decision.statements)
    assert request.action in decision.explanation


wild = st.text(alphabet="ab*?.[$\n\u00e9\U0001f600", max_size=12)


@given(wild, wild)
@example("*a*a*a*a*b", "a" * 12)
@example("a?", "a\n")
def test_wildcards_match_what_a_regular_expression_matches(pattern, text):
    expression = "".join({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in pattern)
    assert matches_text(pattern, text) is (re.fullmatch(expression, text, re.DOTALL) is not None)


@given(wild, wild)
def test_a_variables_value_is_matched_letter_by_letter(pattern, value):
    """Oracle: re again, the value escaped. Escapes and the default take the same way."""
    template = read_template("x${k:v}*")
    tokens = template.tokens(Context({"k:v": value}))
    if not value:
        assert tokens is None
    else:
        assert matches(tokens, f"x{value}rest")
        assert matches(tokens, "x" + pattern) is (
            re.fullmatch("x" + re.escape(value) + ".*", "x" + pattern, re.S) is not None
        )


def test_no_pattern_takes_exponential_time():
    """Oracle: arithmetic: 100 stars over 20,000 characters are millions of steps; backtracking would take ages."""
    assert not matches(tokens_of("*a" * 100 + "*b"), "a" * 20_000)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
elements = ["Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition", "Principal", "x"]
almost = st.dictionaries(
    st.sampled_from(elements), json_values | st.sampled_from(["Allow", "*", "s3:*", {}, []]), max_size=5
)


@given(json_values | st.fixed_dictionaries({"Statement": almost | st.lists(almost, max_size=3)}))
@settings(max_examples=300)
def test_any_document_is_either_a_policy_or_refused_with_a_remedy(document):
    """Oracle: no other exception than the library's own, whatever the JSON; a policy that is read can be evaluated."""
    try:
        read = parse_policy(document)
    except PolicyError:
        with pytest.raises(PolicyError, match="Remedy: "):
            parse_policy(document)
    else:
        assert evaluate(read, Request(USER, "s3:GetObject")).outcome in Outcome
