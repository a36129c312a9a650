"""The sandboxed kernel as jupyter_client and nbclient, unmodified, drive it. The oracle is what the cells print."""

from __future__ import annotations

from pathlib import Path

import pytest
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbformat.v4 import new_code_cell, new_notebook

from grading.kernels import GradingKernelManager
from grading.limits import MIB, Limits
from grading.provisioner import copy_supporting_files


def client(cells: list[str], folder: Path, limits: Limits | None = None, **options: object) -> NotebookClient:
    """nbclient on a notebook with these cells and a sandboxed kernel of our choosing."""
    manager = AsyncKernelManager(kernel_name="python3")
    manager.kernel_spec.metadata["kernel_provisioner"] = {
        "provisioner_name": "sandbox-provisioner",
        "config": {"limits": (limits or Limits()).as_dict()},
    }
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    made = NotebookClient(notebook, km=manager, resources={"metadata": {"path": str(folder)}}, **options)
    made.owns_km = True
    return made


def printed(cell) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


def test_cells_run_beside_the_supporting_files_but_not_beside_the_notebook(tmp_path):
    (tmp_path / "data.csv").write_text("1,2")
    (tmp_path / "lab.ipynb").write_text("hidden tests")
    (tmp_path / "link.csv").symlink_to("/etc/passwd")
    run = client(["import os; print(os.getcwd(), os.listdir())", "print(open('data.csv').read())"], tmp_path)
    notebook = run.execute()
    assert printed(notebook.cells[0]) == "/home/learner ['data.csv']\n"
    assert printed(notebook.cells[1]) == "1,2\n"


def test_an_interrupt_reaches_the_kernel_and_not_the_sandbox(tmp_path):
    cells = ["x = 5", "while True: pass", "print(x)"]
    run = client(cells, tmp_path, timeout=6, interrupt_on_timeout=True, allow_errors=True)
    run.error_on_timeout = {"ename": "Slow", "evalue": "", "traceback": []}
    notebook = run.execute()
    assert notebook.cells[1].outputs[0].ename == "KeyboardInterrupt"
    assert printed(notebook.cells[2]) == "5\n"


def killed(run: NotebookClient) -> str:
    """Runs a notebook whose kernel dies; returns the watchdog's reason."""
    provisioners = []
    run.on_cell_start = lambda **_: provisioners.append(run.km.provisioner)
    with pytest.raises(DeadKernelError):
        run.execute()
    return provisioners[0].reason


def test_the_memory_of_all_processes_together_is_limited(tmp_path):
    code = (
        "import os, time\nfor _ in range(4):\n    if os.fork() == 0:\n        x = b'x' * (150 * 2**20)\n"
        "        time.sleep(60)\ntime.sleep(60)"
    )
    reason = killed(client([code], tmp_path, Limits(memory_bytes=400 * MIB)))
    assert "MiB of memory (limit 400 MiB)" in reason


def test_a_fork_bomb_is_ended(tmp_path):
    code = "import os, time\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        time.sleep(0.1)"
    assert "processes and threads (limit 40)" in killed(client([code], tmp_path, Limits(processes=40)))


def test_processor_time_of_all_processes_is_limited(tmp_path):
    code = "import os\nfor _ in range(3): os.fork()\nwhile True: pass"
    # A kernel needs a second to start, more on a busy machine, and the limits count that too.
    assert "5 s of processor time" in killed(client([code], tmp_path, Limits(cpu_seconds=5)))


def test_wall_time_is_limited(tmp_path):
    sleep = "import time; time.sleep(120)"
    assert killed(client([sleep], tmp_path, Limits(wall_seconds=15))) == "ran for more than 15 s"


def test_the_folder_shared_with_the_host_cannot_be_filled(tmp_path):
    code = (
        "import glob, os, time\nplace = os.path.dirname(glob.glob('/tmp/kernel-*/sockets/k-*')[0])\n"
        "open(place + '/x', 'wb').write(b'x' * 40 * 2**20)\ntime.sleep(60)"
    )
    assert "outside its work folder" in killed(client([code], tmp_path))


def test_nothing_is_left_on_the_host(tmp_path):
    """Oracle: inside, the one folder that the kernel shares with the host has the same path."""
    run = client(["import glob\nprint(*glob.glob('/tmp/kernel-*'))"], tmp_path)
    shared = printed(run.execute().cells[0]).split()
    assert len(shared) == 1
    assert not Path(shared[0]).exists()


def test_an_oversized_message_never_reaches_the_grader():
    """The oracle is libzmq's own option, set on the sockets that the client makes."""
    import zmq

    manager = GradingKernelManager(kernel_name="python3")
    manager.confine(Limits(message_bytes=12345))
    manager.client()
    with manager.client_context.socket(zmq.SUB) as socket:
        assert socket.getsockopt(zmq.MAXMSGSIZE) == 12345
    manager.close_client()


def test_supporting_files_stop_at_the_limit(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in "abc":
        (source / name).write_bytes(b"x" * 1000)
    copy_supporting_files(source, tmp_path / "copy", 2500)
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["a", "b"]
