"""Conditions. Oracle: the tables and rules of AWS's IAM User Guide, one page named for each row.

AWS's own table for ForAllValues:StringNotLike on aws:ResourceOrgPaths (page "operators", section "Wildcard matching")
contradicts the rules on the same page and is left out: it calls a value that is like the pattern a match.
"""

import pytest

from course_lib.finops.iam import Request, evaluate

OPS = "reference_policies_elements_condition_operators"
SETS = "reference_policies_condition-single-vs-multi-valued-context-keys"
MANY = "reference_policies_condition-logic-multiple-context-keys-or-values"
VARS = "reference_policies_variables"
COND = "reference_policies_elements_condition"
TAGGING = "reference_policies_condition-keys"

JOB, TYPE, TAGS, IP = "aws:PrincipalTag/job-category", "ec2:InstanceType", "aws:TagKeys", "aws:SourceIp"
ENV, ARN, NOW, KEYS = "aws:RequestTag/environment", "aws:SourceArn", "aws:CurrentTime", "s3:max-keys"
TOPIC = "arn:aws:sns:us-west-2:123456789012:TOPIC-ID"
LOGS = "logs:LogGeneratingResourceArns"
DIST = "arn:aws:cloudfront::123456789012:distribution/"
NOON = "2026-11-26T12:00:00Z"

# operator, key, the policy's values, the request's context, whether the condition holds, the rule, the page
ROWS = [
    # strings
    ("StringEquals", JOB, "iamuser-admin", {JOB: "iamuser-admin"}, True, "exact match", OPS),
    ("StringEquals", JOB, "iamuser-admin", {JOB: "dev-ops"}, False, "exact match", OPS),
    ("StringEquals", JOB, "iamuser-admin", {}, False, "a missing key does not match", OPS),
    ("StringEquals", JOB, "Admin", {JOB: "admin"}, False, "case-sensitive", OPS),
    ("StringEquals", JOB, "adm*", {JOB: "admin"}, False, "no wildcards in StringEquals", OPS),
    ("StringEquals", JOB, "adm*", {JOB: "adm*"}, True, "no wildcards in StringEquals", OPS),
    ("StringEquals", JOB, ["a", "b"], {JOB: "b"}, True, "several values: OR", MANY),
    ("StringEquals", JOB, ["a", "b"], {JOB: "c"}, False, "several values: OR", MANY),
    ("StringEquals", JOB.upper(), "x", {JOB.lower(): "x"}, True, "names of keys ignore case", COND),
    ("StringEquals", "AWS:SourceIP", "1.2.3.4", {"aws:sourceip": "1.2.3.4"}, True, "names of keys ignore case", COND),
    ("StringEquals", "aws:RequestTag/TTL", "x", {"aws:RequestTag/ttl": "x"}, True, "so do tag keys in them", TAGGING),
    ("StringEquals", JOB, "", {JOB: ""}, True, "an empty value equals an empty value", OPS),
    ("StringEquals", JOB, "caf\u00e9", {JOB: "cafe\u0301"}, False, "characters are compared, not looks", OPS),
    ("StringNotEquals", JOB, "admin", {JOB: "dev"}, True, "negated", OPS),
    ("StringNotEquals", JOB, "admin", {JOB: "admin"}, False, "negated", OPS),
    ("StringNotEquals", JOB, "admin", {}, True, "negated: a missing key is true", OPS),
    ("StringNotEquals", JOB, ["a", "b"], {JOB: "c"}, True, "several values, negated: NOR", MANY),
    ("StringNotEquals", JOB, ["a", "b"], {JOB: "b"}, False, "several values, negated: NOR", MANY),
    ("StringEqualsIgnoreCase", JOB, "preprod", {JOB: "PreProd"}, True, "ignores case", OPS),
    ("StringEqualsIgnoreCase", JOB, "preprod", {JOB: "prod"}, False, "ignores case", OPS),
    ("StringEqualsIgnoreCase", JOB, "stra\u00dfe", {JOB: "STRASSE"}, False, "character by character", OPS),
    ("StringNotEqualsIgnoreCase", JOB, "preprod", {JOB: "PREPROD"}, False, "negated", OPS),
    ("StringNotEqualsIgnoreCase", JOB, "preprod", {}, True, "negated: a missing key is true", OPS),
    ("StringLike", TYPE, "t2.*", {TYPE: "t2.micro"}, True, "* is any run", OPS),
    ("StringLike", TYPE, "t2.*", {TYPE: "t3.micro"}, False, "* is any run", OPS),
    ("StringLike", TYPE, "t2.*", {TYPE: "t2."}, True, "* is also none", OPS),
    ("StringLike", TYPE, "t?.micro", {TYPE: "t2.micro"}, True, "? is one character", OPS),
    ("StringLike", TYPE, "t?.micro", {TYPE: "t.micro"}, False, "? is not none", OPS),
    ("StringLike", TYPE, "micro", {TYPE: "t2.micro"}, False, "partial matches need wildcards", OPS),
    ("StringLike", TYPE, "T2.*", {TYPE: "t2.micro"}, False, "case-sensitive", OPS),
    ("StringLike", TYPE, "t2.[a-z]*", {TYPE: "t2.micro"}, False, "brackets are no wildcards", OPS),
    ("StringLike", TYPE, "t2.*", {}, False, "a missing key does not match", OPS),
    ("StringNotLike", TYPE, "t2.*", {TYPE: "p5.48xlarge"}, True, "negated", OPS),
    ("StringNotLike", TYPE, "t2.*", {}, True, "negated: a missing key is true", OPS),
    ("StringLike", "s3:prefix", ["", "home/"], {"s3:prefix": ""}, True, "an empty pattern is an empty value", OPS),
    # numbers
    ("NumericLessThanEquals", KEYS, "10", {KEYS: "10"}, True, "at most", OPS),
    ("NumericLessThanEquals", KEYS, "10", {KEYS: 11}, False, "at most", OPS),
    ("NumericLessThanEquals", KEYS, 10, {KEYS: "9"}, True, "numbers need no quotes; 9 < 10, not as text", OPS),
    ("NumericLessThan", KEYS, "10", {KEYS: "10"}, False, "below", OPS),
    ("NumericGreaterThan", KEYS, "9.5", {KEYS: "10"}, True, "decimals", OPS),
    ("NumericGreaterThanEquals", KEYS, "10", {KEYS: "10.0"}, True, "10 is 10.0", OPS),
    ("NumericEquals", KEYS, "0.1", {KEYS: "0.10"}, True, "by value", OPS),
    ("NumericEquals", KEYS, "9007199254740993", {KEYS: "9007199254740992"}, False, "exact beyond 2**53", OPS),
    ("NumericNotEquals", KEYS, "5", {KEYS: "6"}, True, "negated", OPS),
    ("NumericNotEquals", KEYS, "5", {}, True, "negated: a missing key is true", OPS),
    ("NumericLessThan", KEYS, "5", {}, False, "a missing key does not match", OPS),
    ("NumericEquals", KEYS, "5", {KEYS: "five"}, False, "what is no number equals none", OPS),
    ("NumericEquals", KEYS, "1", {KEYS: "\u0661"}, False, "digits are ASCII", OPS),
    # dates
    ("DateGreaterThan", NOW, "2026-11-26T11:59:59Z", {NOW: NOON}, True, "after", OPS),
    ("DateGreaterThan", NOW, NOON, {NOW: NOON}, False, "after", OPS),
    ("DateGreaterThanEquals", NOW, NOON, {NOW: NOON}, True, "at or after", OPS),
    ("DateLessThan", NOW, "2027", {NOW: NOON}, True, "a year alone is a W3C date", OPS),
    ("DateLessThan", NOW, "2026-11", {NOW: NOON}, False, "so is a month", OPS),
    ("DateLessThan", NOW, "2026-11-27", {NOW: NOON}, True, "so is a day", OPS),
    ("DateEquals", NOW, "2026-11-26T13:00:00+01:00", {NOW: NOON}, True, "zones are honoured", OPS),
    ("DateEquals", NOW, "2026-11-26T07:00:00-05:00", {NOW: NOON}, True, "zones are honoured", OPS),
    ("DateEquals", NOW, "1795694400", {NOW: "2026-11-26T12:00:00.000Z"}, True, "epoch seconds", OPS),
    ("DateLessThanEquals", NOW, NOON, {"aws:EpochTime": "0"}, False, "a missing key does not match", OPS),
    ("DateNotEquals", NOW, NOON, {NOW: NOON}, False, "negated", OPS),
    ("DateNotEquals", NOW, NOON, {}, True, "negated: a missing key is true", OPS),
    ("DateGreaterThan", "aws:TokenIssueTime", "2020-01-01T00:00:01Z", {}, False, "no session, no key", OPS),
    # booleans, bytes
    ("Bool", "aws:SecureTransport", "false", {"aws:SecureTransport": "false"}, True, "boolean", OPS),
    ("Bool", "aws:SecureTransport", "false", {"aws:SecureTransport": True}, False, "boolean", OPS),
    ("Bool", "aws:SecureTransport", "false", {}, False, "a missing key does not match", OPS),
    ("Bool", "aws:SecureTransport", False, {"aws:SecureTransport": False}, True, "booleans need no quotes", OPS),
    ("BinaryEquals", "x:key", "QmluYXJ5VmFsdWVJbkJhc2U2NA==", {"x:key": b"BinaryValueInBase64"}, True, "bytes", OPS),
    ("BinaryEquals", "x:key", "QmluYXJ5VmFsdWVJbkJhc2U2NA==", {"x:key": "ASIAIOSFODNN7EXAMPLE"}, False, "bytes", OPS),
    ("BinaryEquals", "x:key", "QmluYXJ5VmFsdWVJbkJhc2U2NA==", {}, False, "a missing key does not match", OPS),
    # addresses
    ("IpAddress", IP, "203.0.113.0/24", {IP: "203.0.113.1"}, True, "range", OPS),
    ("IpAddress", IP, "203.0.113.0/24", {IP: "198.51.100.1"}, False, "range", OPS),
    ("IpAddress", IP, "203.0.113.7", {IP: "203.0.113.7"}, True, "no prefix is /32", OPS),
    ("IpAddress", IP, ["203.0.113.0/24", "2001:DB8:1234:5678::/64"], {IP: "2001:db8:1234:5678::9"}, True, "IPv6", OPS),
    ("IpAddress", IP, "203.0.113.0/24", {}, False, "a missing key does not match", OPS),
    ("NotIpAddress", IP, "203.0.113.0/24", {IP: "203.0.113.1"}, False, "all but the range", OPS),
    ("NotIpAddress", IP, "203.0.113.0/24", {IP: "2001:db8::1"}, True, "all but the range", OPS),
    ("NotIpAddress", IP, "203.0.113.0/24", {}, True, "negated: a missing key is true", OPS),
    # ARNs
    ("ArnEquals", ARN, TOPIC, {ARN: TOPIC}, True, "ARN", OPS),
    ("ArnEquals", ARN, TOPIC, {ARN: TOPIC.replace("123456789012", "777788889999")}, False, "ARN", OPS),
    ("ArnEquals", ARN, TOPIC, {}, False, "a missing key does not match", OPS),
    ("ArnEquals", ARN, "arn:aws:sns:*:123456789012:*", {ARN: TOPIC}, True, "ArnEquals knows wildcards", OPS),
    ("ArnLike", ARN, "arn:aws:sns:*:123456789012:TOPIC-??", {ARN: TOPIC}, True, "ArnLike is the same", OPS),
    ("ArnLike", ARN, "arn:aws:sns:*:TOPIC-ID:x", {ARN: TOPIC}, False, "each component for itself", OPS),
    ("ArnLike", ARN, "arn:aws:*:us-west-2:*:*", {ARN: TOPIC + ":sub"}, True, "the sixth may hold colons", OPS),
    ("ArnLike", ARN, "arn:aws:sns:*:*:TOPIC-ID:s*", {ARN: TOPIC + ":sub"}, True, "in the pattern, too", OPS),
    ("ArnLike", ARN, TOPIC.upper(), {ARN: TOPIC}, False, "case-sensitive", OPS),
    ("ArnNotLike", ARN, "arn:aws:sns:*:*:*", {ARN: TOPIC}, False, "negated", OPS),
    ("ArnNotEquals", ARN, TOPIC, {}, True, "negated: a missing key is true", OPS),
    # IfExists
    ("StringLikeIfExists", TYPE, ["t1.*", "t2.*"], {TYPE: "t1.micro"}, True, "the key is there: test it", OPS),
    ("StringLikeIfExists", TYPE, ["t1.*", "t2.*"], {TYPE: "m2.micro"}, False, "the key is there: test it", OPS),
    ("StringLikeIfExists", TYPE, ["t1.*", "t2.*"], {}, True, "the key is missing: true", OPS),
    ("StringNotEqualsIfExists", TYPE, "a", {}, True, "the key is missing: true, negated too", OPS),
    ("NumericLessThanIfExists", KEYS, "5", {}, True, "the key is missing: true", OPS),
    ("BoolIfExists", "aws:MultiFactorAuthPresent", "false", {}, True, "the key is missing: true", OPS),
    ("IpAddressIfExists", IP, "10.0.0.0/8", {IP: "11.0.0.1"}, False, "the key is there: test it", OPS),
    # Null
    ("Null", "aws:TokenIssueTime", "true", {}, True, "true: the key is missing", OPS),
    ("Null", "aws:TokenIssueTime", "false", {}, False, "false: the key is there", OPS),
    ("Null", "aws:TokenIssueTime", "false", {"aws:TokenIssueTime": NOON}, True, "false: the key is there", OPS),
    ("Null", "aws:TokenIssueTime", True, {"aws:TokenIssueTime": NOON}, False, "true: the key is missing", OPS),
    ("Null", "aws:TokenIssueTime", "True", {}, True, "capitals of a boolean do not count", OPS),
    ("Null", TAGS, "false", {TAGS: []}, False, "a null data set has no value", SETS),
    ("Null", TAGS, "false", {TAGS: [""]}, False, "a null data set, such as an empty string", OPS),
    ("Null", ENV, "false", {ENV: ""}, True, "a tag without a value is there", OPS),
    ("ForAllValues:StringEquals", TAGS, "a", {TAGS: [""]}, True, "a null data set: true", OPS),
    ("ForAllValues:StringEquals", ENV, "a", {ENV: ""}, True, "an empty string is a null data set", OPS),
    ("ForAnyValue:StringEquals", TAGS, "", {TAGS: [""]}, False, "a null data set: false", SETS),
    # sets
    ("ForAllValues:StringEquals", TAGS, ["env", "cost-center"], {TAGS: ["env"]}, True, "all", SETS),
    ("ForAllValues:StringEquals", TAGS, ["env", "cost-center"], {TAGS: ["cost-center", "env"]}, True, "all", SETS),
    ("ForAllValues:StringEquals", TAGS, ["env", "cost-center"], {TAGS: ["env", "dept"]}, False, "all", SETS),
    ("ForAllValues:StringEquals", TAGS, ["env"], {}, True, "no key: true", SETS),
    ("ForAllValues:StringEquals", TAGS, ["env"], {TAGS: []}, True, "no value: true", SETS),
    ("ForAllValues:StringNotEquals", TAGS, ["ttl"], {TAGS: ["a", "b"]}, True, "none may match", OPS),
    ("ForAllValues:StringNotEquals", TAGS, ["ttl"], {TAGS: ["a", "ttl"]}, False, "none may match", OPS),
    ("ForAllValues:StringNotEquals", TAGS, ["ttl"], {}, True, "no key: true", SETS),
    ("ForAllValues:StringLike", TAGS, "cost-*", {TAGS: ["cost-a", "cost-b"]}, True, "all", OPS),
    ("ForAnyValue:StringEquals", TAGS, ["env", "cost-center"], {TAGS: ["env", "dept"]}, True, "one", SETS),
    ("ForAnyValue:StringEquals", TAGS, ["env", "cost-center"], {TAGS: ["dept"]}, False, "one", SETS),
    ("ForAnyValue:StringEquals", TAGS, ["env"], {}, False, "no key: false", SETS),
    ("ForAnyValue:StringEquals", TAGS, "env", {TAGS: ["Env"]}, False, "values keep their case", OPS),
    ("ForAnyValue:StringNotEquals", TAGS, "a", {TAGS: ["a", "b"]}, True, "one must not match", OPS),
    ("ForAnyValue:StringNotEquals", TAGS, "a", {TAGS: ["a"]}, False, "one must not match", OPS),
    ("ForAnyValue:StringNotEquals", TAGS, "a", {}, False, "no key: false, negated too", SETS),
    ("ForAnyValue:StringNotLike", TAGS, "a*", {TAGS: ["ab", "b"]}, True, "one must not match", OPS),
    ("ForAllValues:ArnLike", LOGS, [DIST + "*", DIST + "support*"], {LOGS: [DIST + "costcenter"]}, True, "all", OPS),
    ("ForAllValues:ArnLike", LOGS, DIST + "support*", {LOGS: [DIST + "support1", DIST + "admin"]}, False, "all", OPS),
    ("ForAllValues:ArnLike", LOGS, DIST + "*", {}, True, "no key: true", OPS),
    ("ForAnyValue:ArnNotLike", LOGS, DIST + "s*", {LOGS: [DIST + "s1", DIST + "t"]}, True, "one must not match", OPS),
    ("ForAllValues:Bool", "x:flags", "true", {"x:flags": [True, False]}, False, "all", OPS),
    ("ForAnyValue:Bool", "x:flags", "true", {"x:flags": [True, False]}, True, "one", OPS),
    ("StringEquals", TAGS, "a", {TAGS: ["a", "b"]}, False, "several values need a set operator", SETS),
    # policy variables in values
    ("StringEquals", ENV, "${aws:username}", {ENV: "ana"}, True, "a variable takes the request's value", VARS),
    ("StringEquals", ENV, "${AWS:UserName}", {ENV: "ana"}, True, "names of keys ignore case", VARS),
    ("StringEquals", ENV, "${aws:username}", {ENV: "bob"}, False, "a variable takes the request's value", VARS),
    ("StringEquals", ENV, "${aws:PrincipalTag/t}", {ENV: "ana"}, False, "no value: nothing equals it", VARS),
    ("StringNotEquals", ENV, "${aws:PrincipalTag/t}", {ENV: "ana"}, True, "no value: negated matches", VARS),
    ("StringEquals", ENV, "${aws:PrincipalTag/t, 'x'}", {ENV: "x"}, True, "default value", VARS),
    ("StringEquals", ENV, "${aws:PrincipalTag/t, 'x'}", {ENV: "x", "aws:PrincipalTag/t": "y"}, False, "unused", VARS),
    ("StringLike", ENV, "${aws:PrincipalTag/t}", {ENV: "a", "aws:PrincipalTag/t": "*"}, False, "its * is itself", VARS),
    ("StringLike", ENV, "a${*}b", {ENV: "a*b"}, True, "${*} is an asterisk", VARS),
    ("StringLike", ENV, "a${*}b", {ENV: "axb"}, False, "${*} is an asterisk", VARS),
    ("StringLike", ENV, "a${?}", {ENV: "a?"}, True, "${?} is a question mark", VARS),
    ("StringEquals", ENV, "${$}{x}", {ENV: "${x}"}, True, "${$} is a dollar sign", VARS),
    ("StringEquals", ENV, "${aws:TagKeys}", {ENV: "a", TAGS: ["a"]}, False, "a multivalued key is no variable", VARS),
    ("ArnLike", ARN, "arn:aws:sns:*:*:${aws:username}-*", {ARN: "arn:aws:sns:x:1:ana-t"}, True, "in ARNs", VARS),
]  # fmt: skip


def holds(operator: str, key: str, values: object, context: dict, version: str = "2012-10-17") -> bool:
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {operator: {key: values}}}
    request = Request("arn:aws:iam::111122223333:user/ana", "s3:GetObject", "arn:aws:s3:::b/k", context)
    return evaluate({"Version": version, "Statement": statement}, request).allowed


@pytest.mark.parametrize(
    ("operator", "key", "values", "context", "expected", "rule", "page"),
    ROWS,
    ids=[f"{number}-{row[0]}-{row[5]}" for number, row in enumerate(ROWS)],
)
def test_a_condition_holds_as_documented(operator, key, values, context, expected, rule, page):
    assert holds(operator, key, values, context) is expected, f"{rule}: see {page}"


@pytest.mark.parametrize("operator", ["StringEquals", "StringLike"])
def test_version_2008_has_no_variables(operator):
    """Oracle: page reference_policies_variables: in earlier versions, ${aws:username} is a literal string."""
    assert not holds(operator, ENV, "${aws:username}", {ENV: "ana"}, version="2008-10-17")
    assert holds(operator, ENV, "${aws:username}", {ENV: "${aws:username}"}, version="2008-10-17")


def test_all_operators_and_all_keys_must_hold():
    """Oracle: the table of page reference_policies_condition-logic-multiple-context-keys-or-values."""
    condition = {
        "StringEquals": {
            "aws:PrincipalTag/department": ["finance", "hr", "legal"],
            "aws:PrincipalTag/role": ["audit", "security"],
        },
        "ArnLike": {"aws:SourceArn": ["arn:aws:iam::222222222222:user/Ana", "arn:aws:iam::222222222222:user/Mary"]},
    }  # fmt: skip
    policy = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}}
    mary, nikki = "arn:aws:iam::222222222222:user/Mary", "arn:aws:iam::222222222222:user/Nikki"
    table = [("legal", "audit", mary, True), ("hr", "audit", nikki, False), ("hr", "payroll", mary, False)]
    table += [("hr", None, mary, False), (None, None, mary, False)]
    for department, role, source, expected in table:
        context = {"aws:PrincipalTag/department": department, "aws:PrincipalTag/role": role, "aws:SourceArn": source}
        present = {key: value for key, value in context.items() if value is not None}
        request = Request("arn:aws:iam::111122223333:user/x", "s3:ListBucket", "arn:aws:s3:::b", present)
        assert evaluate(policy, request).allowed is expected


def test_the_table_is_large_and_names_a_page_for_each_row():
    """Oracle: the brief asks for at least 150 rows in all truth tables; this one holds most of them."""
    assert len(ROWS) >= 120
    assert all(row[6].startswith("reference_policies_") for row in ROWS)
