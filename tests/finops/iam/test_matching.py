"""Actions, resources and principals. Oracle: AWS's IAM User Guide, one page named for each row."""

import pytest

from course_lib.finops.iam import Caller, Kind, Policies, Request, evaluate

ACTION, NOT_ACTION = "reference_policies_elements_action", "reference_policies_elements_notaction"
RESOURCE, NOT_RES = "reference_policies_elements_resource", "reference_policies_elements_notresource"
VARS, PRI = "reference_policies_variables", "reference_policies_elements_principal"
NOT_PRI = "reference_policies_elements_notprincipal"
ARNS, LOGIC = "reference_arns", "reference_policies_evaluation-logic_policy-eval-denyallow"

USER = "arn:aws:iam::111122223333:user/ana"
OBJECT = "arn:aws:s3:::DOC-EXAMPLE-BUCKET/1/2/test/object.jpg"
INSTANCE = "arn:aws:ec2:us-east-1:111122223333:instance/i-1"
STREAM = "arn:aws:logs:us-east-1:111122223333:log-group:a:log-stream:b"
QUEUE = "arn:aws:sqs:us-east-2:111122223333:ana-queue"

# element, value, the request's action, whether it applies, the rule, the page
ACTIONS = [
    ("Action", "ec2:StartInstances", "ec2:StartInstances", True, "exact", ACTION),
    ("Action", "EC2:startinstances", "ec2:StartInstances", True, "case-insensitive", ACTION),
    ("Action", "ec2:StartInstances", "EC2:STARTINSTANCES", True, "case-insensitive", ACTION),
    ("Action", "ec2:Start", "ec2:StartInstances", False, "the whole name", ACTION),
    ("Action", "iam:*AccessKey*", "iam:ListAccessKeys", True, "* anywhere", ACTION),
    ("Action", "iam:*AccessKey*", "iam:ListUsers", False, "* anywhere", ACTION),
    ("Action", "ec2:*", "ec2:RunInstances", True, "all of a service", ACTION),
    ("Action", "ec2:*", "ec2messages:GetEndpoint", False, "a prefix is a whole word", ACTION),
    ("Action", "*", "iam:CreateUser", True, "everything", ACTION),
    ("Action", "s3:?etObject", "s3:GetObject", True, "? is one character", ACTION),
    ("Action", "s3:Get?", "s3:GetObject", False, "? is one character", ACTION),
    ("Action", ["ec2:Describe*", "ec2:List*"], "ec2:ListImages", True, "a list is OR", ACTION),
    ("NotAction", "iam:*", "ec2:RunInstances", True, "everything but", NOT_ACTION),
    ("NotAction", "iam:*", "iam:CreateUser", False, "everything but", NOT_ACTION),
    ("NotAction", ["iam:*", "ec2:*"], "ec2:RunInstances", False, "but all of the listed", NOT_ACTION),
    ("NotAction", "*", "ec2:RunInstances", False, "nothing is left", NOT_ACTION),
]
# element, value, the request's resource, whether it applies, the rule, the page
RESOURCES = [
    ("Resource", "*", OBJECT, True, "everything", RESOURCE),
    ("Resource", "*", "*", True, "an action without resources", RESOURCE),
    ("Resource", "arn:aws:ec2:*:*:instance/*", "*", False, "an action without resources needs *", RESOURCE),
    ("Resource", "arn:aws:s3:::DOC-EXAMPLE-BUCKET/*/test/*", OBJECT, True, "* spans slashes", RESOURCE),
    ("Resource", "arn:aws:s3:::DOC-EXAMPLE-BUCKET/*", OBJECT, True, "* spans slashes", RESOURCE),
    ("Resource", "arn:aws:s3:::DOC-EXAMPLE-BUCKET", OBJECT, False, "a bucket is not its objects", RESOURCE),
    ("Resource", "arn:aws:s3:::doc-example-bucket/*", OBJECT, False, "case-sensitive", RESOURCE),
    ("Resource", "arn:aws:s3:::DOC-EXAMPLE-BUCKET/?/2/*", OBJECT, True, "? is one character", RESOURCE),
    ("Resource", "arn:aws:s3:::DOC-EXAMPLE-BUCKET?1*", OBJECT, True, "? may be a slash", RESOURCE),
    ("Resource", "arn:aws:s3:::DOC-EXAMPLE-BUCKET/?/test/*", OBJECT, False, "? is one character", RESOURCE),
    ("Resource", "arn:aws:ec2:*:*:instance/*", INSTANCE, True, "* in segments", RESOURCE),
    ("Resource", "arn:aws:ec2:*:*:volume/*", INSTANCE, False, "another resource type", RESOURCE),
    ("Resource", "arn:aws:ec2:us-*-1:111122223333:*", INSTANCE, True, "* in a segment", RESOURCE),
    ("Resource", "arn:aws:ec2:eu-*:111122223333:*", INSTANCE, False, "another region", RESOURCE),
    ("Resource", "arn:aws:ec2:*:*/i-1", INSTANCE, None, "segments are counted: refused", RESOURCE),
    ("Resource", "arn:aws:ec2:*:instance/i-1:*", INSTANCE, False, "* stays in its segment", RESOURCE),
    ("Resource", "arn:aws:ec2:us-east-1::instance/*", INSTANCE, False, "an empty segment is empty", RESOURCE),
    ("Resource", "arn:aws-cn:ec2:*:*:instance/*", INSTANCE, False, "another partition", ARNS),
    ("Resource", "arn:*:ec2:*:*:instance/*", INSTANCE, True, "any partition", ARNS),
    ("Resource", "arn:aws:logs:*:*:log-group:*", STREAM, True, "colons in the last part", ARNS),
    ("Resource", ["arn:aws:s3:::a", "arn:aws:s3:::b"], "arn:aws:s3:::b", True, "a list is OR", RESOURCE),
    ("NotResource", "arn:aws:s3:::DOC-EXAMPLE-BUCKET/*", OBJECT, False, "everything but", NOT_RES),
    ("NotResource", "arn:aws:s3:::other/*", OBJECT, True, "everything but", NOT_RES),
    ("NotResource", "arn:aws:s3:::other/*", INSTANCE, True, "other services too", NOT_RES),
    ("NotResource", "*", OBJECT, False, "nothing is left", NOT_RES),
    ("Resource", "arn:aws:sqs:us-east-2:*:${aws:username}-queue", QUEUE, True, "a variable in the resource part", VARS),
    ("Resource", "arn:aws:sqs:us-east-2:*:${aws:userid}-queue", QUEUE, False, "no value: matches nothing", VARS),
    ("NotResource", "arn:aws:sqs:us-east-2:*:${aws:userid}-queue", QUEUE, True, "... in NotResource too", VARS),
    ("Resource", "arn:aws:sqs:us-east-2:*:${aws:PrincipalTag/t, 'ana'}-queue", QUEUE, True, "default value", VARS),
    ("Resource", "arn:aws:sqs:us-east-2:*:${*}-queue", QUEUE, False, "${*} is an asterisk", VARS),
]  # fmt: skip
ROLE, SESSION = "arn:aws:iam::111122223333:role/dev", "arn:aws:sts::111122223333:assumed-role/dev/s1"
FEDERATED, ROOT = "arn:aws:sts::111122223333:federated-user/fed", "arn:aws:iam::111122223333:root"
OAI = "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E1A2B3"
OTHER = "arn:aws:iam::444455556666:user/ana"
# Principal or NotPrincipal, its value, the caller, whether the (Deny) statement reaches the caller, the rule, the page
PRINCIPALS = [
    ("Principal", "*", USER, True, "everyone", PRI),
    ("Principal", {"AWS": "*"}, USER, True, "everyone", PRI),
    ("Principal", "*", "*", True, "everyone, unsigned requests too", PRI),
    ("Principal", {"AWS": USER}, USER, True, "a user by ARN", PRI),
    ("Principal", {"AWS": USER.upper()[:3] + USER[3:]}, USER, None, "not an ARN: refused", PRI),
    ("Principal", {"AWS": USER.replace("ana", "Ana")}, USER, False, "names are case-sensitive", PRI),
    ("Principal", {"AWS": "arn:aws:iam::111122223333:user/*"}, USER, None, "no wildcard in a name: refused", PRI),
    ("Principal", {"AWS": "arn:aws:iam::111122223333:group/g"}, USER, None, "a group is no principal: refused", PRI),
    ("Principal", {"AWS": "111122223333"}, USER, True, "the account", PRI),
    ("Principal", {"AWS": ROOT}, USER, True, "the account by its root's ARN", PRI),
    ("Principal", {"AWS": "444455556666"}, USER, False, "another account", PRI),
    ("Principal", {"AWS": ["444455556666", USER]}, USER, True, "a list is OR", PRI),
    ("Principal", {"AWS": ROLE}, SESSION, True, "a role means its sessions", PRI),
    ("Principal", {"AWS": SESSION}, SESSION, True, "one session", PRI),
    ("Principal", {"AWS": SESSION + "2"}, SESSION, False, "another session", PRI),
    ("Principal", {"AWS": FEDERATED}, FEDERATED, True, "a federated session", PRI),
    ("Principal", {"AWS": OAI}, USER, False, "an origin access identity of CloudFront", PRI),
    ("Principal", {"Federated": "cognito-identity.amazonaws.com"}, USER, False, "a provider is no user", PRI),
    ("Principal", {"Service": "ec2.amazonaws.com"}, "ec2.amazonaws.com", True, "a service", PRI),
    ("Principal", {"Service": "ec2.amazonaws.com"}, "batch.amazonaws.com", False, "another service", PRI),
    ("Principal", {"Service": "ec2.amazonaws.com"}, USER, False, "a service is no user", PRI),
    ("Principal", {"AWS": "111122223333"}, "*", False, "an unsigned request has no account", PRI),
    ("NotPrincipal", {"AWS": [USER, ROOT]}, USER, False, "the user and its account are listed", NOT_PRI),
    ("NotPrincipal", {"AWS": USER}, USER, True, "the account is not listed: denied", NOT_PRI),
    ("NotPrincipal", {"AWS": [USER, ROOT]}, USER.replace("ana", "bob"), True, "all others of the account", NOT_PRI),
    ("NotPrincipal", {"AWS": [SESSION, ROLE, ROOT]}, SESSION, False, "session, role and account listed", NOT_PRI),
    ("NotPrincipal", {"AWS": [SESSION, ROOT]}, SESSION, True, "the role is not listed: denied", NOT_PRI),
    ("NotPrincipal", {"AWS": [USER, ROOT]}, OTHER, True, "other accounts", NOT_PRI),
]  # fmt: skip


def applies(statement: dict, request: Request) -> bool | None:
    """Whether a lone Allow reaches the request, or None if the document is refused."""
    try:
        return evaluate({"Version": "2012-10-17", "Statement": {"Effect": "Allow", **statement}}, request).allowed
    except ValueError:
        return None


@pytest.mark.parametrize(("element", "value", "action", "expected", "rule", "page"), ACTIONS)
def test_an_action_matches_as_documented(element, value, action, expected, rule, page):
    found = applies({element: value, "Resource": "*"}, Request(USER, action))
    assert found is expected, f"{rule}: see {page}"


@pytest.mark.parametrize(("element", "value", "resource", "expected", "rule", "page"), RESOURCES)
def test_a_resource_matches_as_documented(element, value, resource, expected, rule, page):
    found = applies({"Action": "*", element: value}, Request(USER, "s3:GetObject", resource))
    assert found is expected, f"{rule}: see {page}"


@pytest.mark.parametrize(("element", "value", "caller", "expected", "rule", "page"), PRINCIPALS)
def test_a_principal_is_meant_as_documented(element, value, caller, expected, rule, page):
    statement = {"Effect": "Deny", element: value, "Action": "*", "Resource": "*"}
    request = Request(caller, "s3:GetObject", "arn:aws:s3:::b/k", resource_account="111122223333")
    try:
        found = "explicit" in evaluate(Policies(resource={"Statement": statement}), request).outcome.value
    except ValueError:
        found = None
    assert found is expected, f"{rule}: see {page}"


def test_a_session_of_a_role_with_a_path_is_named_by_the_roles_full_arn():
    """Oracle: page reference_identifiers: the ARN of an assumed-role session has no path."""
    role = "arn:aws:iam::111122223333:role/team/dev"
    statement = {"Effect": "Deny", "Principal": {"AWS": role}, "Action": "*", "Resource": "*"}
    for caller, expected in ((Caller(SESSION, role_arn=role), "explicit deny"), (Caller(SESSION), "implicit deny")):
        found = evaluate(Policies(resource={"Statement": statement}), Request(caller, "s3:GetObject", "arn:aws:s3:::b"))
        assert found.outcome.value == expected


def test_a_policy_read_as_one_kind_is_not_taken_for_another():
    """Oracle: the grammar page: Principal must stand in resource policies and must not in identity policies."""
    with pytest.raises(ValueError, match="Principal"):
        Policies(identity={"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}})
    with pytest.raises(ValueError, match="neither"):
        Policies(resource={"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
    assert Kind.RESOURCE.names_principals
