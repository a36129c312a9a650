"""`course cloud`. Oracle: boto3 with nothing but the environment that `course cloud env` prints, in another process."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from course_lib.cli import main


@pytest.fixture
def course(tmp_path):
    """Runs `course cloud ...` with a folder of its own; what was started is ended."""
    runner = CliRunner()

    def run(*words):
        return runner.invoke(main, ["cloud", *words, "--folder", str(tmp_path / "cloud")])

    yield run
    run("down")


def shell(course, program):
    """Runs a Python program in a shell that has evaluated `course cloud env`."""
    script = f"{course('env').output}\n{sys.executable} -c '{program}'"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(["bash", "-ec", script], env=clean, capture_output=True, text=True, check=True).stdout


START = ("--start", "2026-12-01T08:00:00+00:00")


def test_up_env_advance_calls_down(course):
    assert "is up: http://127.0.0.1:" in course("up", "--empty", "--speed", "0", *START).output
    launch = (
        'import boto3; print(boto3.client("ec2").run_instances(ImageId="ami-12c6146b", InstanceType="trn1.2xlarge", '
        'MinCount=1, MaxCount=1, UserData="#!/bin/sh\\nshutdown +30", '
        'InstanceInitiatedShutdownBehavior="terminate")["Instances"][0]["LaunchTime"])'
    )
    assert shell(course, launch) == "2026-12-01 08:00:00+00:00\n"
    told = course("advance", "1h").output
    assert "It is 2026-12-01 09:00:00 UTC" in told
    assert re.search(r"2026-12-01T08:31:00  guest: shutdown .*became=terminated", told)
    records = json.loads(course("calls", "--json").output)
    assert [(r["actor"], r["operation"]) for r in records] == [("caller", "RunInstances"), ("guest", "shutdown")]
    status = json.loads(course("status", "--json").output)
    assert (status["calls"], status["errors"], status["happenings"]) == (1, 0, 1)
    assert course("down").output == "The practice account is down.\n"
    assert course("down").output == "No practice account was up.\n"


def test_a_second_up_finds_the_first(course):
    first = json.loads(course("up", "--empty", "--json").output)
    second = json.loads(course("up", "--empty", "--json").output)
    assert (first["new"], second["new"]) == (True, False)
    assert first["url"] == second["url"]


@pytest.mark.slow  # tests/finops/cloud/test_story.py looks at such a past in every run
def test_an_account_with_a_past(course):
    told = course("up", "--speed", "0", *START).output
    assert "It began with the past of a research group." in told
    assert "Its time is 2026-12-01 08:00:00 UTC" in told
    ask = (
        'import boto3; ce = boto3.client("ce"); days = ce.get_cost_and_usage(Granularity="DAILY", '
        'Metrics=["UnblendedCost"], TimePeriod={"Start": "2026-09-03", "End": "2026-11-30"})["ResultsByTime"]; '
        'print(sum(float(day["Total"]["UnblendedCost"]["Amount"]) > 20 for day in days))'
    )
    assert shell(course, ask) == "88\n"
    status = json.loads(course("status", "--json").output)
    assert (status["calls"], status["errors"], status["happenings"]) == (1, 0, 0)
    ledger = (Path(json.loads(course("up", "--json").output)["folder"]) / "ledger.jsonl").read_text().splitlines()
    assert [json.loads(line)["operation"] for line in ledger] == [
        "GetCostAndUsage"
    ]  # its past is no part of the ledger
    wanted = course("up", "--empty")
    assert wanted.exit_code == 1
    assert "story=None is not that of the account which is up" in wanted.output


def test_settings_that_the_running_account_does_not_have_are_refused(course):
    course("up", "--empty", "--speed", "0", *START)
    for words, said in (
        (("--speed", "60"), "speed=60.0 is not that of the account which is up at http://127.0.0.1:"),
        (("--port", "1"), "port=1 is not that of"),
        (("--seed", "7"), "(seed=0)"),
        (("--start", "2026-12-02T08:00:00+00:00"), "start="),
    ):
        found = course("up", *words)
        assert found.exit_code == 1
        assert said in found.output
        assert "course cloud down" in found.output
    assert course("up", "--speed", "0", *START).exit_code == 0  # the same ones, and those left out, are no difference


def test_a_server_that_died_is_noticed_and_replaced(course):
    first = json.loads(course("up", "--empty", "--json").output)
    os.kill(first["pid"], signal.SIGKILL)
    for _ in range(100):
        if course("status").exit_code:
            break
        time.sleep(0.1)
    assert "no practice account is up. Remedy: course cloud up" in course("status").output
    assert json.loads(course("up", "--empty", "--json").output)["new"]


def test_a_fault_meets_calls_until_it_is_healed(course):
    course("up", "--empty")
    assert "meet denied from now on" in course("fault", "denied", "sts.*").output
    call = 'boto3.client("sts").get_caller_identity()["Account"]'
    ask = f"import boto3\ntry: print({call})\nexcept Exception as e: print(e)"
    assert "AccessDeniedException" in shell(course, ask)
    course("heal")
    assert shell(course, ask) == "123456789012\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("advance", "soon"), "'soon' is no duration. Remedy: write it as 90s, 30m, 2h or 1d12h."),
        (("fault", "earthquake"), "kind='earthquake' is no kind of fault"),
        (("fault", "denied", "--chance", "2"), "chance=2.0 must be a probability"),
    ],
)
def test_a_mistake_is_one_line_with_the_remedy(course, words, said):
    course("up", "--empty")
    result = course(*words)
    assert result.exit_code == 1
    assert said in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--speed", "-1"), "speed=-1.0 must be 0 or more"),
        (("--start", "2026-12-01"), "names no time zone"),
        (
            ("--start", "soon"),
            "start='soon' is no moment. Remedy: write date, time and zone, such as 2026-12-01T08:00:00Z.",
        ),
        (("--start", "0001-01-01T00:00:00+14:00"), "is no moment"),
        (("--port", "70000"), "port"),
    ],
)
def test_an_account_that_cannot_start_says_why_and_leaves_nothing(course, words, said):
    result = course("up", "--empty", *words)
    assert result.exit_code == 1
    assert said in result.output
    assert course("status").exit_code == 1


@pytest.mark.parametrize("command", ["status", "env", "calls", "heal"])
def test_without_an_account_each_command_says_how_to_start_one(course, command):
    result = course(command)
    assert result.exit_code == 1
    assert "Remedy: course cloud up" in result.output


def test_what_follows_eval_does_not_run_without_an_account(course, tmp_path):
    told = course("env")
    assert (told.exit_code, told.stdout) == (1, "false\n")
    script = f'eval "{told.stdout}" && echo RUNS'
    assert subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False).stdout == ""


def test_two_ups_at_once_are_one_account(tmp_path):
    command = [sys.executable, "-m", "course_lib.cli", "cloud", "up", "--empty", "--json", "--folder", str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [json.loads(one.communicate()[0]) for one in both]
    try:
        assert told[0]["pid"] == told[1]["pid"]
        assert sorted(one["new"] for one in told) == [False, True]
    finally:
        CliRunner().invoke(main, ["cloud", "down", "--folder", str(tmp_path)])


def test_a_time_too_long_and_a_folder_that_can_not_be_are_one_line(course):
    course("up", "--empty", "--speed", "0", *START)
    assert "is more than 3650 days" in str(course("advance", "999999999d").output) + str(course("advance", "9d").output)
    told = CliRunner().invoke(main, ["cloud", "up", "--empty", "--folder", "/proc/none"])
    assert told.exit_code == 1
    assert "/proc/none: No such file or directory. Remedy: give a path" in told.output


@pytest.mark.parametrize("sh", ["bash", "sh"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"NO_PROXY": "127.0.0.1"}),
        ({"NO_PROXY": "lab.example.org,10.0.0.1"}, {"NO_PROXY": "lab.example.org,10.0.0.1,127.0.0.1"}),
        ({"NO_PROXY": "a, 127.0.0.1"}, {"NO_PROXY": "a, 127.0.0.1"}),
        ({"NO_PROXY": "127.0.0.10"}, {"NO_PROXY": "127.0.0.10,127.0.0.1"}),
        ({"NO_PROXY": "*"}, {"NO_PROXY": "*"}),
        ({"NO_PROXY": "a", "no_proxy": "b"}, {"NO_PROXY": "a,127.0.0.1", "no_proxy": "b,127.0.0.1"}),
        ({"no_proxy": ""}, {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}),
    ],
)
def test_hosts_without_proxy_are_added_to_once(up_once, sh, before, after):
    """Oracle: the shells themselves, and urllib's reading of what they export: the account is reached without proxy."""
    look = (
        "import json, os, urllib.request as u; print(json.dumps([dict(os.environ), bool(u.proxy_bypass('127.0.0.1'))]))"
    )
    script = f'set -eu\neval "$CODE"\neval "$CODE"\n{sys.executable} -c "{look}"'
    given = {"PATH": os.environ["PATH"], "CODE": up_once, "HTTP_PROXY": "http://127.0.0.1:9", **before}
    told = subprocess.run([sh, "-c", script], env=given, capture_output=True, text=True, check=True).stdout
    found, bypassed = json.loads(told)
    assert {name: value for name, value in found.items() if name.lower() == "no_proxy"} == after
    assert bypassed
    assert found["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")


@pytest.fixture(scope="module")
def up_once(tmp_path_factory):
    """What `course cloud env` prints."""
    folder = ("--folder", str(tmp_path_factory.mktemp("cloud")))
    CliRunner().invoke(main, ["cloud", "up", "--empty", *folder])
    yield CliRunner().invoke(main, ["cloud", "env", *folder]).output
    CliRunner().invoke(main, ["cloud", "down", *folder])
