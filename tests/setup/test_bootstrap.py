"""Set-up's stages on machines that lack something. Oracles: an emptied PATH, the shell's own tools, the exit code."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course_lib.runtime import bootstrap, debian, horovod_wheel

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bare_path(tmp_path, monkeypatch):
    """A PATH with nothing on it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_an_empty_path_lacks_the_sandbox_the_compiler_and_the_browser(bare_path):
    lacking = {need.package for need in debian.missing_needs()}
    assert {"bubblewrap", "g++", "cmake", "chromium"} <= lacking


def test_without_apt_every_missing_package_is_named_with_its_command(bare_path):
    said = []
    missing = debian.install_missing(said.append)
    for need in missing:
        assert any(f"sudo apt-get install {need.package}" in line and need.without_it in line for line in said)
    assert len(said) == len(missing) > 0


def test_an_ordinary_user_without_sudo_is_told_and_apt_is_not_called(bare_path, monkeypatch):
    witness = bare_path / "called"
    for name in ("apt-get", "sudo"):
        tool = bare_path / name
        code = "exit 1" if name == "sudo" else f"echo x > {witness}"
        tool.write_text(f"#!/bin/sh\n{code}\n")
        tool.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    said = []
    assert debian.install_missing(said.append)
    assert not witness.exists()


def test_root_installs_each_missing_package_by_itself(bare_path, monkeypatch):
    """A package that this Debian lacks must not stop the others."""
    log = bare_path / "log"
    shutil.copy(shutil.which("env", path="/usr/bin:/bin"), bare_path / "env")
    tool = bare_path / "apt-get"
    tool.write_text(f'#!/bin/sh\necho "$@" >> {log}\ncase "$*" in *bubblewrap*) exit 100;; esac\n')
    tool.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    debian.install_missing(lambda line: None)
    calls = log.read_text().splitlines()
    assert "update" in calls[0]
    for package in ("bubblewrap", "g++", "cmake", "chromium"):
        assert sum(package in call.split() for call in calls[1:]) == 1


def test_horovod_is_left_out_with_the_remedy_when_there_is_no_compiler(bare_path, tmp_path):
    said = []
    assert horovod_wheel.build(Path(sys.executable), tmp_path / "wheels", said.append) is None
    assert "apt-get install g++ cmake" in said[-1]
    assert not (tmp_path / "wheels").exists(), "nothing half-made stays"


def test_the_wheel_cache_is_keyed_by_python_torch_and_processor(monkeypatch, tmp_path):
    import platform

    import torch

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = horovod_wheel.cache_folder(Path(sys.executable))
    assert folder.is_relative_to(tmp_path)
    assert f"torch{torch.__version__}" in folder.name
    assert platform.machine() in folder.name


def test_a_second_setup_does_nothing_and_says_so():
    """Oracle: the files' times in .venv, before and after."""
    if not bootstrap.STAMP.exists() or bootstrap.STAMP.read_text() != bootstrap.inputs_digest():
        pytest.skip("this checkout was not set up with `make setup`")
    before = {path: path.stat().st_mtime_ns for path in bootstrap.VENV.glob("lib/python3.*/site-packages/*")}
    done = subprocess.run(
        [sys.executable, "-m", "course_lib.runtime.bootstrap"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "nothing changed" in done.stdout
    assert before == {path: path.stat().st_mtime_ns for path in bootstrap.VENV.glob("lib/python3.*/site-packages/*")}


def test_an_unsupported_python_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    with pytest.raises(bootstrap.SetupError, match=r"3\.10\.4 is not supported.*PYTHON=python3\.11"):
        bootstrap.check_python()


def test_a_lock_without_a_needed_line_is_refused_by_name():
    with pytest.raises(bootstrap.SetupError, match="no-such-package"):
        bootstrap.pinned("no-such-package")


def test_make_help_lists_every_target_of_the_readme():
    text = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("course", "book", "lab", "labs", "grade", "test", "bench", "serve", "setup", "doctor"):
        assert f"make {target} " in text
