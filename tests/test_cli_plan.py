"""`course plan`. Oracle: a real process, as a user would start it, and `course_lib.arithmetic.plan` beside it."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from course_lib.arithmetic import custom_cluster, instance_cluster, plan, winner

COURSE = str(Path(sys.executable).with_name("course"))


def course(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COURSE, "plan", *words], capture_output=True, text=True, check=False)


def test_json_is_what_the_library_says():
    """Oracle: plan and winner, called here."""
    done = course("llama3-8b", "p5.48xlarge:4", "--batch", "128", "--tokens", "1e12", "--top", "3", "--json")
    assert done.returncode == 0, done.stderr
    expected = plan("llama3-8b", instance_cluster("p5.48xlarge", 4), 128, tokens=1e12, top=3)
    printed = json.loads(done.stdout)
    assert printed.pop("why") == winner(expected)
    assert printed == json.loads(json.dumps(asdict(expected)))


def test_the_table_tells_memory_time_money_and_why():
    """Oracle: the words that the step's specification asks for."""
    done = course("llama3-8b", "p5.48xlarge", "--instances", "2", "--batch", "64", "--tokens", "1e12")
    assert done.returncode == 0, done.stderr
    for words in ("MFU", "bubble", "exposed", "$/step", "tokens/$", "First: ", "optimizer", "days", "out of memory"):
        assert words in done.stdout
    assert "slower than the best" in done.stdout.partition("Dropped:")[2]


def test_a_cluster_of_ones_own_and_fixed_parts():
    """Oracle: plan, called here with the same."""
    words = ("--chip", "a100-80gb", "--devices", "64", "--network-gbit", "1600", "--fix", "tp=8, pp=8,recompute=full")
    done = course("gpt3-175b", *words, "--batch", "64", "--software", "megatron", "--microbatch", "1", "--json")
    assert done.returncode == 0, done.stderr
    expected = plan(
        "gpt3-175b",
        custom_cluster("a100-80gb", 64, network_gbit_per_s_per_node=1600),
        64,
        fixed={"tp": 8, "pp": 8, "recompute": "full", "microbatch": 1},
        software="megatron",
        top=5,
    )
    assert json.loads(done.stdout)["best"][0]["time"]["seconds"] == expected.best[0].time.seconds


def test_tokens_per_step_are_understood_and_clusters_compared_by_cost():
    """Oracle: 32 sequences of 8,192 tokens."""
    done = course("llama3-8b", "p5.48xlarge:2", "p4de.24xlarge:2", "--batch-tokens", "262144", "--by", "cost", "--json")
    assert done.returncode == 0, done.stderr
    best = json.loads(done.stdout)["best"]
    assert {one["tokens_per_step"] for one in best} == {262_144}
    assert [one["usd_per_step"] for one in best] == sorted(one["usd_per_step"] for one in best)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("llama3-405b", "p5.48xlarge:4", "--batch", "64"), ["GB are missing", "Remedy: take "]),
        (("lama3-8b", "p5.48xlarge", "--batch", "8"), ["llama3-8b"]),
        (("llama3-8b", "p5.48xlarge:two", "--batch", "8"), ["'two'", "p5.48xlarge:16"]),
        (("llama3-8b", "p5.48xlarge"), ["--batch"]),
        (("llama3-8b", "--batch", "8"), ["no cluster", "--chip"]),
        (("llama3-8b", "p5.48xlarge", "--batch", "8", "--fix", "tp"), ["'tp'", "tp=8"]),
        (("llama3-8b", "p5.48xlarge", "--batch", "8", "--fix", "tp=3"), ["tensor_parallel=3", "8 devices"]),
        (("llama3-8b", "p5e.48xlarge", "--batch", "8", "--by", "cost"), ["price", "usd_per_hour"]),
        (("llama3-8b", "p5.48xlarge", "--batch-tokens", "1e4"), ["10000", "8192"]),
        (("llama3-8b", "p5.48xlarge", "--batch", "8", "--tokens", "1e300", "--usd-per-hour", "1e20"), ["range"]),
    ],
)
def test_an_error_is_one_line_that_names_the_remedy(words, told):
    """Oracle: the last line of stderr, and no traceback."""
    done = course(*words)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert all(word in done.stderr for word in told), done.stderr
