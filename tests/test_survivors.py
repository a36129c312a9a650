"""A process that outlives its tests fails the run. Oracle: pytest itself on files whose leavings are known."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    "conftest.py": "from tests import survivors\nsurvivors.PATIENCE_SECONDS = 0.5\nfrom tests.conftest import *\n",
    "test_a_tidy.py": """
import subprocess, pytest

@pytest.fixture(scope="module")
def server():
    process = subprocess.Popen(["sleep", "4001"])
    yield process
    process.terminate()  # and nobody waits for it

def test_uses_it(server):
    assert server.poll() is None

def test_uses_it_again(server):
    assert server.poll() is None
""",
    "test_b_parent_gone.py": """
import subprocess

def test_leaves_one_whose_parent_has_ended():
    subprocess.run(["sh", "-c", "setsid sleep 4002 > /dev/null 2>&1 &"], check=True)

def test_leaves_nothing():
    pass
""",
    "test_c_started_late.py": """
import subprocess

KEPT = []

def test_leaves_a_child():
    KEPT.append(subprocess.Popen(["sleep", "4003"]))
""",
    "test_d_a_fork.py": """
import multiprocessing, time

def test_leaves_a_fork_of_the_fork_server_that_may_stay():
    process = multiprocessing.get_context("forkserver").Process(target=time.sleep, args=(4004,))
    process.start()
    assert process.is_alive()
""",
    "test_e_after_them.py": "def test_leaves_nothing():\n    pass\n",
}


def test_each_survivor_is_named_with_its_test_and_ended_and_nothing_else_is_blamed(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "."]
    # where the variable CI is set, pytest prints each reason a second time
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    assert "7 passed, 3 errors" in done.stdout
    assert done.stdout.count("first seen with") == 3
    assert "test_b_parent_gone.py::test_leaves_one_whose_parent_has_ended: sleep 4002" in done.stdout
    assert "test_c_started_late.py::test_leaves_a_child: sleep 4003" in done.stdout
    assert "a descendant of one first seen with test_d_a_fork.py::test_leaves_a_fork_of_the_fork_server" in done.stdout
    running = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert [line for line in running if line[:1] == ["sleep"] and line[1:] in (["4001"], ["4002"], ["4003"])] == []
