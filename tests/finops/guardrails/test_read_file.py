"""Guardrails in a file. Oracle: tomllib reads the file; what it must become is written out by hand."""

import pytest

from course_lib.finops.guardrails import Alert, Budget, GuardrailError, Guardrails, PlannedLaunch, Stop, read_guardrails

TEXT = """
regions = ["us-east-1"]
instance_types = ["trn1.*"]
required_tags = ["project", "team"]
researchers = ["researchers"]
until = 2027-06-30T02:00:00+02:00

[[budget]]
name = "bert"
usd_per_month = 500
tags = {project = "bert"}

[[budget.alert]]
percent = 80
to = ["ada@example.org", "arn:aws:sns:us-east-1:123456789012:money"]

[[budget.alert]]
percent = 100
kind = "forecasted"
to = ["ada@example.org"]

[[budget.stop]]
percent = 100
approval = "MANUAL"
groups = ["researchers"]
to = ["ada@example.org"]

[[launch]]
instance_type = "trn1.32xlarge"
count = 4
region = "us-east-1"
purchase = "spot"
"""


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / "guard.toml"
        path.write_text(text)
        return read_guardrails(path)

    return read


def test_a_file_becomes_guardrails(read):
    to = ("ada@example.org",)
    topic = "arn:aws:sns:us-east-1:123456789012:money"
    alerts = (Alert(80, (*to, topic)), Alert(100, to, "forecasted"))
    stops = (Stop(100, to, ("researchers",), approval="MANUAL"),)
    assert read(TEXT) == Guardrails(
        ("us-east-1",),
        ("trn1.*",),
        (Budget("bert", 500, {"project": "bert"}, alerts, stops),),
        ("project", "team"),
        ("researchers",),
        "2027-06-30T00:00:00Z",
        (PlannedLaunch("trn1.32xlarge", 4, "us-east-1", "spot"),),
    )
    assert read(TEXT).every_tag == ("owner", "project", "team", "expires-at")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("= 500", "= -500", r"guard.toml, budget 1: usd_per_month=-500 must be a finite number above 0"),
        ("= 500", "= 0", r"usd_per_month=0 must be a finite number above 0"),
        ("= 500", "= nan", r"usd_per_month=nan must be a finite number above 0"),
        ("= 500", '= "500"', r"usd_per_month='500' must be a finite number above 0"),
        ("percent = 80", "percent = -80", r"budget 1, alert 1: percent=-80 must be a finite number above 0"),
        ('"forecasted"', '"guessed"', r"kind='guessed' must be 'actual' or 'forecasted'"),
        ('"MANUAL"', '"LATER"', r"stop 1: approval='LATER' must be 'AUTOMATIC' or 'MANUAL'"),
        ('groups = ["researchers"]\n', "", r"stop 1: groups=\(\) stops nobody"),
        ("ada@example.org", "ada", r"to='ada' is no mail address and no SNS topic's ARN"),
        ("usd_per_month = 500\n", "", r"budget 1=\['usd_per_month'\] is missing"),
        (
            "usd_per_month",
            "eur_per_month",
            r"budget 1='eur_per_month' is no key of this table. Remedy: use alert, name",
        ),
        ("2027-06-30T02:00:00+02:00", "2027-06-30T02:00:00", r"until='2027-06-30T02:00:00' names no time zone"),
        ("count = 4", "count = 0", r"launch 1: count=0 must be a whole number"),
        ('["us-east-1"]', "[]", r"regions=\(\) is empty"),
        ('["us-east-1"]', "[1]", r"regions=1 must be text"),
        ('["us-east-1"]', '"us-east-1"', r"regions='us-east-1' must be a list of texts"),
        ('["researchers"]\n', '"researchers"\n', r"stop 1: groups='researchers' must be a list of texts"),
        ('["ada@example.org"]', '"ada@example.org"', r"to='ada@example.org' must be a list of texts"),
        ('{project = "bert"}', '["project"]', r"budget 1: tags=\('project',\) must be keys with values"),
        ('name = "bert"', "name = 5", r"budget 1: name=5 is no budget's name"),
        ("= 500", "= 0.004", r"usd_per_month=0.004 is less than a cent"),
        ('["trn1.*"]', '["trn1.*"', r"is no TOML.*line 4"),
        ("[[budget]]", "[budget]", r"'budget' must be an array of tables|is no TOML"),
        ("percent = 100\nkind", "percent = 80\n#", r"alerts=.* has one threshold twice"),
        ('name = "bert"', 'name = "a:b"', r"name='a:b' is no budget's name"),
        ('{project = "bert"}', "{project = 1}", r"tags.project=1 must be text"),
        ("usd_per_month = 500", "usd_per_month = true", r"usd_per_month='True' must be text or a number"),
    ],
)
def test_what_is_wrong_is_named_with_its_place_in_one_line(read, old, new, said):
    assert old in TEXT
    with pytest.raises(GuardrailError, match=said) as caught:
        read(TEXT.replace(old, new))
    assert "\n" not in str(caught.value)
    assert "Remedy: " in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(GuardrailError, match=r"file='.*none.toml' can't be read \(No such file"):
        read_guardrails(tmp_path / "none.toml")


def test_two_budgets_of_one_name_are_refused(read):
    with pytest.raises(GuardrailError, match="has one name twice"):
        read(TEXT + '\n[[budget]]\nname = "bert"\nusd_per_month = 5\n')
