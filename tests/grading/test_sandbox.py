"""What learners' code can reach and use. The oracle is the kernel of this machine: each test really runs a program."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from grading import sandbox
from grading.errors import SandboxUnavailableError
from grading.layout import REPOSITORY
from grading.limits import MIB, Limits
from grading.sandbox import Sandbox, working_sandbox

# Both ways to shut a process in, where this machine allows both.
WAYS = [False, True] if os.geteuid() == 0 and working_sandbox() else [working_sandbox()]
SMALL = Limits(memory_bytes=300 * MIB, cpu_seconds=5, processes=32, file_bytes=8 * MIB, work_bytes=16 * MIB)


@pytest.fixture(params=WAYS, ids=lambda drop: "root given up" if drop else "user namespace")
def run(request: pytest.FixtureRequest, tmp_path: Path):
    """Runs Python code inside; returns the finished process."""

    def call(
        code: str, limits: Limits = SMALL, files: Path | None = None, **options: object
    ) -> subprocess.CompletedProcess:
        shut_in = Sandbox(limits, files=files, drop_root=request.param)
        command = shut_in.command([sys.executable, "-c", code], {})
        settings = {"env": {}, "capture_output": True, "text": True, "timeout": 60, **options}
        return subprocess.run(command, check=False, **settings)

    return call


def test_a_listener_on_the_hosts_loopback_is_out_of_reach(run):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = run(f"import socket; socket.create_connection(('127.0.0.1', {port}), timeout=2)")
    assert "ConnectionRefusedError" in done.stderr


def test_a_unix_socket_of_the_host_is_out_of_reach(run):
    # abstract sockets belong to a network namespace, so a shared one would connect
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0grading-test")
        server.listen()
        done = run("import socket; socket.socket(socket.AF_UNIX).connect('\\0grading-test')")
    assert "ConnectionRefusedError" in done.stderr


def test_no_address_outside_is_reachable(run):
    done = run("import socket; socket.create_connection(('192.0.2.1', 80), timeout=2)")
    assert "Network is unreachable" in done.stderr


def test_its_own_loopback_works(run):
    code = (
        "import socket\ns = socket.create_server(('127.0.0.1', 0))\n"
        "c = socket.create_connection(s.getsockname())\ns.accept()[0].sendall(b'hello')\nprint(c.recv(5).decode())"
    )
    assert run(code).stdout == "hello\n"


@pytest.mark.parametrize(
    "path",
    [
        REPOSITORY / "solutions",
        REPOSITORY / "grading",
        REPOSITORY / "labs",
        REPOSITORY / ".git",
        "/etc/shadow",
        "/root/.ssh",
    ],
)
def test_nothing_of_the_instructors_is_there(run, path):
    assert run(f"import os; print(os.path.exists({str(path)!r}))").stdout == "False\n"


def test_a_file_anywhere_on_the_host_is_not_there(run, tmp_path):
    secret = tmp_path / "gradebook.db"
    secret.write_text("marks")
    assert run(f"import os; print(os.path.exists({str(secret)!r}))").stdout == "False\n"


def test_the_libraries_and_the_course_can_be_imported(run):
    assert run("import course_lib, numpy; print('ok')", Limits()).stdout == "ok\n"


def test_only_the_work_folder_and_private_scratch_can_be_written(run):
    places = ["/", "/usr", "/etc", "/dev", "/opt", "/home", "/proc/sys/kernel", ".", "/tmp", "/dev/shm", sys.prefix]
    places.append(str(REPOSITORY / "course_lib"))
    code = (
        f"import os\nfor place in {places!r}:\n"
        "    try:\n        open(os.path.join(place, 'x'), 'w').close()\n        print(place)\n"
        "    except OSError:\n        pass"
    )
    assert run(code).stdout.split() == [".", "/tmp", "/dev/shm"]


def test_supporting_files_can_be_read_and_changed_without_touching_the_original(run, tmp_path):
    files = tmp_path / "files"
    (files / "data").mkdir(parents=True)
    (files / "data" / "a.csv").write_text("1,2")
    files.chmod(0o755)
    done = run("p = 'data/a.csv'; print(open(p).read()); open(p, 'w').write('3'); print(open(p).read())", files=files)
    assert done.stdout.split() == ["1,2", "3"]
    assert (files / "data" / "a.csv").read_text() == "1,2"


def test_the_graders_environment_is_invisible(run, monkeypatch):
    monkeypatch.setenv("COURSE_TEST_SECRET", "swordfish")
    code = (
        "import os, glob\nprint('swordfish' in str(os.environ))\n"
        "for p in glob.glob('/proc/[0-9]*/environ'):\n"
        "    try:\n        print('swordfish' in open(p).read())\n    except OSError:\n        print(False)"
    )
    lines = run(code).stdout.split()
    assert len(lines) >= 2
    assert set(lines) == {"False"}


def test_other_processes_of_the_host_are_invisible(run):
    assert int(run("import os; print(max(int(p) for p in os.listdir('/proc') if p.isdigit()))").stdout) < 10


def test_open_files_of_the_grader_are_not_handed_on(run, tmp_path):
    with (tmp_path / "gradebook.db").open("w") as file:
        code = "import os; print(sorted(os.listdir('/proc/self/fd')))"
        os.set_inheritable(file.fileno(), True)
        done = run(code, pass_fds=(file.fileno(),))
    assert done.stdout == "['0', '1', '2', '3']\n"  # 3 is the listing itself


def test_it_is_no_root_inside(run):
    code = "import os, re; print(os.getuid() != 0, re.search('CapEff:\\t(.*)', open('/proc/self/status').read())[1])"
    assert run(code).stdout == "True 0000000000000000\n"


def test_asking_for_too_much_memory_is_refused(run):
    assert "MemoryError" in run("bytearray(400 * 1024 * 1024)").stderr


def test_processor_time_ends(run):
    limits = Limits(memory_bytes=300 * MIB, cpu_seconds=1)
    assert run("while True: pass", limits).returncode not in (0, 1)


def test_processes_are_counted(run, request):
    if os.geteuid() == 0 and "namespace" in request.node.name:
        pytest.skip("the kernel never counts root's processes, mapped or not; the watchdog does, see test_provisioner")
    code = (
        "import os, time\nn = 0\ntry:\n    while n < 100:\n        if os.fork() == 0:\n"
        "            time.sleep(5); os._exit(0)\n        n += 1\nexcept BlockingIOError:\n    print(n)"
    )
    assert 10 < int(run(code).stdout) < 32


def test_one_file_has_a_ceiling(run):
    assert "File too large" in run("open('x', 'wb').write(b'x' * 9 * 2**20)").stderr


@pytest.mark.parametrize("place", [".", "/tmp", "/dev/shm"])
def test_all_files_together_have_a_ceiling(run, place):
    code = f"for i in range(40): open(f'{place}/{{i}}', 'wb').write(b'x' * 2**20)"
    assert "No space left" in run(code).stderr


def test_limits_cannot_be_raised_inside(run):
    code = "import resource; resource.setrlimit(resource.RLIMIT_NPROC, (9999, 9999))"
    assert "ValueError" in run(code).stderr or "PermissionError" in run(code).stderr


def test_it_dies_with_the_grader(tmp_path):
    # the oracle is the process table: no `sleep` with this odd number may be left
    command = Sandbox(SMALL, drop_root=working_sandbox()).command(["/usr/bin/sleep", "98765"], {})
    code = f"import subprocess, time; subprocess.Popen({command!r}, env={{}}); time.sleep(1)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
    left = subprocess.run(["pgrep", "-f", "^/usr/bin/sleep 98765"], capture_output=True, text=True, check=False)
    assert left.stdout == ""


def test_without_bwrap_it_refuses_and_names_the_remedy(monkeypatch, tmp_path):
    working_sandbox.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        SandboxUnavailableError, match=r"bwrap is not on PATH.*apt-get install bubblewrap.*--no-sandbox"
    ):
        working_sandbox()
    working_sandbox.cache_clear()


def test_where_namespaces_are_forbidden_it_refuses(monkeypatch, tmp_path):
    """A bwrap that fails as it does in a container without the right to make namespaces."""
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    working_sandbox.cache_clear()
    monkeypatch.setattr(sandbox, "_bwrap", lambda: str(fake))
    with pytest.raises(SandboxUnavailableError, match="No permissions to create new namespace"):
        working_sandbox()
    working_sandbox.cache_clear()


def test_the_repository_is_hidden_even_where_the_environment_lies_around_it(monkeypatch):
    """The oracle is bubblewrap's rule that a later mount covers an earlier one."""
    monkeypatch.setattr("grading.mounts.python_folders", lambda: [REPOSITORY.parent])
    command = Sandbox(SMALL).command(["/bin/true"], {})
    shown = [command[i + 2] for i, option in enumerate(command) if option == "--ro-bind"]
    covers = [i for i, option in enumerate(command) if option == "--tmpfs" and command[i + 1] == str(REPOSITORY)]
    covered = covers[0]
    assert covered > command.index("--ro-bind", command.index(str(REPOSITORY.parent)) - 1)
    assert str(REPOSITORY / "course_lib") in command[covered:]
    assert str(REPOSITORY) not in shown


def test_bwrap_is_installed_where_the_tests_run():
    assert shutil.which("bwrap")
