"""The report and the mapping. Oracles: FedRAMP's published count of controls, the CFR's own paragraphs, policy_sentry.

45 CFR 164.312 has five standards and seven implementation specifications below them.
"""

import json
import re
from dataclasses import replace

import pytest
from policy_sentry.querying.actions import get_action_data

from course_lib.finops.compliance import (
    CHECKS,
    FRAMEWORKS,
    NO_ATTESTATION,
    ComplianceError,
    Settings,
    all_controls,
    controls_of,
    look,
    read_only_policy,
)
from tests.finops.compliance import faults

HERE = ["us-east-1"]


@pytest.fixture
def report(account):
    faults.instance(account)
    faults.endless_logs(account)
    name = faults.bucket(account)
    faults.close_bucket(account, name)
    account.inject("denied", "ec2.DescribeFlowLogs")
    return look(account, Settings(allowed_regions=("us-east-1",)), regions=HERE)


def test_a_fault_that_was_seen_weighs_more_than_what_could_not_be_seen(report):
    """Oracle: the order in which `status_of` says that it looks: failed, unseen, passed, not applicable."""
    (one,) = (result for result in report.results if result.check == "flow-logs")
    states = ("not applicable", "passed", "unseen", "failed")
    for most in range(1, 5):
        rows = tuple(replace(one, status=state) for state in states[:most])
        assert replace(report, results=rows).status_of("flow-logs") == states[most - 1]


def test_the_lists_of_controls_are_whole():
    assert len(all_controls("FedRAMP")) == 323  # FedRAMP Rev. 5, Moderate
    standards = {"(a)(1)", "(b)", "(c)(1)", "(d)", "(e)(1)"}
    specifications = {"(a)(2)(i)", "(a)(2)(ii)", "(a)(2)(iii)", "(a)(2)(iv)", "(c)(2)", "(e)(2)(i)", "(e)(2)(ii)"}
    assert {control.number.removeprefix("164.312") for control in all_controls("HIPAA")} == standards | specifications
    with pytest.raises(ComplianceError, match=r"framework='SOC 2' is not mapped here"):
        all_controls("SOC 2")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_each_check_says_which_part_it_touches_and_what_is_left_to_people(check):
    found = controls_of(check.name)
    assert found
    assert all(control.part and control.people for control in found)
    assert {control.framework for control in found} <= set(FRAMEWORKS)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_touched_and_untouched_controls_make_the_whole(report, framework):
    touched = {control.number for pairs in report.covered(framework).values() for control, _ in pairs}
    left = {control.number for control in report.uncovered(framework)}
    assert touched | left == {control.number for control in all_controls(framework)}
    assert not touched & left
    assert left  # no framework is covered whole: if that ever changes, somebody has mapped too much


def test_a_run_of_fewer_checks_touches_fewer_controls(account):
    few = look(account, regions=HERE, checks=["ebs-default"])
    assert "SC-28" not in {control.number for control in few.uncovered("FedRAMP")}
    assert "AU-2" in {control.number for control in few.uncovered("FedRAMP")}


def test_the_markdown_says_what_it_is_not_and_names_everything_that_failed_or_was_not_seen(report):
    text = report.markdown()
    assert NO_ATTESTATION in text
    assert text.index(NO_ATTESTATION) < text.index("## Failed") < text.index("## Could not be seen")
    for one in (*report.of("failed"), *report.of("unseen")):
        assert one.resource in text
    assert "No check touches 302" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4, 6}


def test_a_name_can_not_break_out_of_the_table(report):
    rude = replace(report.of("failed")[0], resource="a|b\n\n# <script>alert(1)</script>")
    text = replace(report, results=(rude,)).markdown()
    assert "<script>" not in text
    assert [line for line in text.splitlines() if line.startswith("# ")] == [f"# Checks of account {report.account}"]
    assert r"a\|b" in text


def test_json_and_frame_hold_the_same_results(report):
    told = json.loads(report.as_json())
    frame = report.frame()
    assert told["notice"] == NO_ATTESTATION
    assert [row["resource"] for row in told["results"]] == list(frame["resource"])
    assert {row["status"] for row in told["results"]} >= {"failed", "passed", "unseen"}
    assert len(told["controls"]["FedRAMP"]["no check"]) + len(told["controls"]["FedRAMP"]["touched"]) == 323
    sums = report.summary().set_index("check")
    assert sums[["failed", "unseen", "passed", "not applicable"]].to_numpy().sum() == len(report.results)
    assert not report.clean


def test_a_report_without_results_has_its_columns(report):
    empty = replace(report, results=())
    assert list(empty.frame().columns) == list(report.frame().columns)
    assert empty.markdown().count("None.") == 2


def test_the_policy_for_the_auditor_names_reading_actions_that_exist():
    """policy_sentry's copy of AWS's service authorization reference knows each action's access level."""
    for action in read_only_policy()["Statement"][0]["Action"]:
        service, name = action.split(":")
        rows = get_action_data(service, name)
        assert rows, action
        assert {row["access_level"] for row in rows[service]} <= {"Read", "List"}, action


def test_the_policy_for_the_auditor_allows_each_call_that_is_made(account):
    for break_ in (faults.public_snapshot, faults.password, faults.instance, faults.endless_logs, faults.unvalidated):
        break_(account)
    account.client("iam").create_access_key(UserName="ada")
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    account.client("iam").create_role(RoleName="work", AssumeRolePolicyDocument=faults.policy(trust))
    account.forget_records()
    look(account, Settings(allowed_regions=("eu-west-1",)), regions=HERE)
    # S3's actions have other names than its calls; the rest are called as they are named
    made = {f"{r['service']}:{r['operation']}" for r in account.records() if r["service"] != "s3"}
    assert made
    assert made <= set(read_only_policy()["Statement"][0]["Action"])
