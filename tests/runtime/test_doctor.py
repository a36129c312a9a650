"""`course doctor` tells what is there, what is missing and what to type.

Oracles: packages made on the spot, psutil, os.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from course_lib.runtime import Finding, exit_code, machine, packages  # the room's own tests may look inside

STUB = """Metadata-Version: 2.1
Name: {name}
Version: {version}

{text}
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install made-up distributions in a folder that importlib.metadata searches."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name: str, version: str, text: str, module: str = "") -> None:
        info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(STUB.format(name=name, version=version, text=text))
        if module:
            (tmp_path / f"{name.replace('-', '_')}.py").write_text(module)

    return install


@pytest.mark.parametrize("backport", [False, True], ids=["alone", "beside importlib_metadata"])
def test_a_stub_from_pypi_is_called_wrong_and_the_remedy_names_it(installed, backport):
    if backport:
        pytest.importorskip("importlib_metadata")  # once loaded, it answers importlib.metadata's questions too
    # the text that PyPI's torch-neuronx 1.0 carries
    installed("torch-neuronx", "1.0", "WRONG PACKAGE. Please install the package from Neuron Repository")
    (finding,) = packages.check_stubs()
    assert (finding.name, finding.status) == ("torch-neuronx", "wrong")
    assert "pip uninstall torch-neuronx" in finding.remedy
    assert not finding.stops_the_main_job


def test_the_real_package_of_a_stubs_name_is_fine(installed):
    installed("neuronx-cc", "2.24.1", "The Neuron compiler.")
    (finding,) = packages.check_stubs()
    assert (finding.name, finding.status, finding.detail) == ("neuronx-cc", "OK", "2.24.1")


def test_a_missing_needed_package_stops_the_main_job():
    finding = packages.check_package("no-such-distribution", "no_such_module", required=True)
    assert finding.status == "missing"
    assert exit_code([finding]) == 1


def test_a_package_that_does_not_load_is_wrong_and_says_why(installed):
    installed("broken-thing", "3.1", "A thing.", module="raise OSError('libgone.so: cannot open shared object file')")
    finding = packages.check_package("broken-thing", "broken_thing", required=False)
    assert finding.status == "wrong"
    assert "libgone.so" in finding.detail
    assert exit_code([finding]) == 0, "an optional package never fails the doctor"


def test_cores_and_memory_are_the_machines():
    assert str(len(os.sched_getaffinity(0))) in machine.check_cores().detail
    assert f"{psutil.virtual_memory().total / 2**30:.1f} GiB" in machine.check_memory().detail


def test_neuron_devices_and_gpus_are_found_by_what_their_drivers_show(tmp_path, monkeypatch):
    for name in ("neuron0", "neuron1", "null"):
        (tmp_path / name).touch()
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H200'\necho 'Tesla T4'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert machine.find_accelerators(tmp_path) == [
        "NVIDIA H200",
        "NVIDIA Tesla T4",
        "Neuron device neuron0",
        "Neuron device neuron1",
    ]


def test_only_required_rows_that_are_bad_stop_the_main_job():
    rows = [Finding("a", "OK", "", required=True), Finding("b", "missing", ""), Finding("c", "note", "", required=True)]
    assert exit_code(rows) == 0
    assert exit_code([*rows, Finding("d", "wrong", "", required=True)]) == 1


def course(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("course")), *words]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)


def test_doctor_prints_json_with_every_check():
    done = course("doctor", "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert {"Python", "torch", "horovod", "ray", "nbgrader", "sandbox", "cores", "memory", "accelerators"} <= set(rows)
    assert done.returncode == int(any(r["required"] and r["status"] in ("missing", "wrong") for r in rows.values()))


def test_doctor_without_bubblewrap_fails_and_names_the_remedy(tmp_path):
    done = course("doctor", PATH=str(tmp_path))
    assert done.returncode == 1
    assert "apt-get install bubblewrap" in done.stdout


@pytest.mark.slow
def test_doctor_deep_runs_horovod_and_ray():
    done = course("doctor", "--deep", "--json")
    rows = {row["name"]: row["status"] for row in json.loads(done.stdout)}
    assert rows["horovod, 2 processes"] == "OK"
    assert rows["ray, tasks"] == "OK"
