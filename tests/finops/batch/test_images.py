"""Dockerfiles. Oracle: hadolint, a linter that we did not write; their text, for what it has no rule about."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from course_lib.finops.batch import image_files, image_folder

HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or "hadolint"
IMAGES = image_files()
PINS = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]["dependencies"]


def instructions(path):
    """Instruction and argument, continuation lines joined."""
    text = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", path.read_text()))
    return [tuple(line.split(" ", 1)) for line in text.splitlines() if line.strip()]


def lint(*paths):
    done = subprocess.run([HADOLINT, "--format", "json", *map(str, paths)], capture_output=True, text=True, check=False)
    return json.loads(done.stdout)


def test_all_images_are_there():
    assert sorted(IMAGES) == ["cpu", "gaudi", "neuron-inference", "neuron-training", "nvidia"]


def test_hadolint_has_nothing_against_them():
    assert lint(*IMAGES.values()) == []


def test_hadolint_would_have_said_something(tmp_path):
    bad = tmp_path / "Dockerfile"
    bad.write_text(IMAGES["cpu"].read_text().replace("boto3==1.44.5", "boto3").replace("3.11-slim-bookworm", "latest"))
    assert {"DL3007", "DL3013"} <= {finding["code"] for finding in lint(bad)}


@pytest.mark.parametrize("name", IMAGES)
def test_each_runs_the_contract_as_nobody_special(name):
    found = instructions(IMAGES[name])
    last = dict(found)
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last["USER"])
    assert json.loads(last["ENTRYPOINT"])[1:] == ["/opt/course/contract.py"]
    assert last["HEALTHCHECK"] == "NONE" or name == "neuron-inference"
    assert "CMD" in last["HEALTHCHECK"] or name != "neuron-inference"
    copies = [argument.split() for kind, argument in found if kind == "COPY"]
    assert copies == [["--chmod=0444", "contract.py", "/opt/course/contract.py"]]
    assert (image_folder() / "contract.py").is_file()
    (boto3,) = re.findall(r"boto3==[\d.]+", IMAGES[name].read_text())
    assert boto3 in PINS
    assert re.search(r"as read on \d{4}-\d\d-\d\d", IMAGES[name].read_text())


def test_the_contract_needs_nothing_but_the_standard_library_and_boto3():
    """Run outside of the repository, with its folder alone on the path."""
    done = subprocess.run(
        [
            sys.executable,
            "-S",
            "-E",
            "-c",
            "import runpy, sys; sys.argv = ['contract.py']; runpy.run_path(sys.argv[0], run_name='__main__')",
        ],
        cwd=image_folder(),
        capture_output=True,
        text=True,
        check=False,
        env={},
    )
    assert (done.returncode, done.stderr) == (64, "contract: no command. Remedy: contract.py COMMAND WORD...\n")
