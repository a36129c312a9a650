"""One bad cell costs one cell. The oracle is what each cell of a hand-made notebook would print on its own."""

from __future__ import annotations

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from grading.execute import GradedExecute
from tests.grading.conftest import LIMITS, nbgrader


def run(cells: list, tmp_path, timeout: int = 30, **limits: int):
    """The cells after GradedExecute; plain text makes a plain cell. A busy machine needs the long time limit."""
    made = [new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    notebook = new_notebook(cells=made, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    execute = GradedExecute(timeout=timeout, limits={**LIMITS.as_dict(), **limits})
    execute.preprocess(notebook, {"metadata": {"path": str(tmp_path)}})
    return notebook.cells


def test_cell(source: str, **about: object):
    return new_code_cell(source, metadata=nbgrader("t", grade=True, locked=True, points=1) | about)


test_cell.__test__ = False  # a helper, whatever its name says


def printed(cell) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


def error(cell) -> str:
    return next((f"{o.ename}: {o.evalue}" for o in cell.outputs if o.output_type == "error"), "")


@pytest.mark.parametrize(
    ("bad", "reason", "timeout"),
    [
        ("import os; os._exit(0)", "ended the Python process", 30),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended the Python process", 30),
        ("import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass", "did not stop when asked", 4),
        ("hoard = []\nwhile True: hoard.append(bytearray(2**24))", "more memory than it may have", 30),
    ],
    ids=["os._exit", "kill -9", "loop that ignores interrupts", "memory hog"],
)
def test_a_cell_that_ends_its_kernel_costs_itself_alone(bad, reason, timeout, tmp_path):
    cells = run(["x = 3", bad, "print(x + 1)"], tmp_path, timeout=timeout)
    assert reason in error(cells[1])
    assert cells[1].metadata["grading"]["reason"] in error(cells[1])
    assert printed(cells[2]) == "4\n"
    assert not error(cells[0])


def test_a_polite_exit_costs_the_other_cells_nothing(tmp_path):
    cells = run(["x = 3", "exit()", "import time\ntime.sleep(1)\nprint(x + 1)", "print(x + 2)"], tmp_path)
    assert [printed(cell) for cell in cells] == ["", "", "4\n", "5\n"]


def test_processes_left_running_are_counted_against_the_cell_that_started_them(tmp_path, monkeypatch):
    monkeypatch.setattr("grading.watchdog.INTERVAL_SECONDS", 600)  # a busy machine wakes the watchdog late
    forks = "import os\nfor _ in range(60):\n    if os.fork() == 0:\n        while True: os.read(os.pipe()[0], 1)"
    cells = run(["x = 3", test_cell(forks), test_cell("print(x + 1)")], tmp_path)
    assert "processes and threads (limit 48)" in cells[1].metadata["grading"]["reason"]
    assert not error(cells[2])
    assert printed(cells[2]) == "4\n"


def test_a_test_that_ends_the_kernel_afterwards_is_not_run_again(tmp_path):
    trap = "import os\nget_ipython().events.register('pre_run_cell', lambda *about: os._exit(0))\nx = 5"
    cells = run(["x = 3", test_cell(trap), "print(x)", "print(x + 1)"], tmp_path)
    assert error(cells[1]).startswith("Tampered")
    assert [printed(cell) for cell in cells[2:]] == ["3\n", "4\n"]


def test_a_loop_is_stopped_and_the_kernel_lives_on(tmp_path):
    cells = run(["x = [1]", "x.append(2)\nwhile True: pass", "print(x)"], tmp_path, timeout=6)
    assert cells[1].metadata["grading"]["reason"] == "ran longer than 6 s and was stopped"
    assert printed(cells[2]) == "[1, 2]\n"


def test_the_whole_submission_has_a_deadline(tmp_path):
    loop = "import time\nwhile True:\n    try: time.sleep(60)\n    except BaseException: pass"
    cells = run([loop] * 6 + ["print('late')"], tmp_path, timeout=1, wall_seconds=6)
    assert "more than 6 s; this cell was not run" in error(cells[-1])


def test_a_print_without_end_is_cut_and_stopped(tmp_path):
    cells = run(["while True: print('x' * 1000)", "print('next')"], tmp_path, timeout=6, output_bytes=100_000)
    assert "ran longer than 6 s" in cells[0].metadata["grading"]["reason"]
    assert len(printed(cells[0])) < 110_000
    assert printed(cells[1]) == "next\n"


def test_a_long_but_finite_output_costs_nothing(tmp_path):
    cells = run(["print('x' * 5_000_000)\ny = 1", "print(y)"], tmp_path, output_bytes=100_000)
    assert not error(cells[0])
    assert len(printed(cells[0])) < 110_000
    assert printed(cells[1]) == "1\n"


def test_a_replay_counts_the_output_of_each_cell_by_itself(tmp_path):
    talk = [f"x = {number}\nprint('y' * 200_000)" for number in range(10)]
    cells = run([*talk, "import os; os._exit(0)", "print(x)"], tmp_path, output_bytes=100_000)
    assert not any(error(cell) for cell in cells[:10])
    assert printed(cells[-1]) == "9\n"


def test_a_flood_past_the_kernels_own_limit_is_ended_from_outside(tmp_path):
    flood = (
        "kernel = get_ipython().kernel\nwhile True:\n"
        "    kernel.send_response(kernel.iopub_socket, 'stream', {'name': 'stdout', 'text': 'x' * 50_000})"
    )
    cells = run([flood, "print('next')"], tmp_path, timeout=20, output_bytes=100_000)
    assert "printed more than" in error(cells[0])
    assert len(printed(cells[0])) < 400_000
    assert printed(cells[1]) == "next\n"


def test_one_gigantic_message_costs_its_cell(tmp_path):
    cells = run(["'x' * 30_000_000", "print('next')"], tmp_path, message_bytes=1_000_000)
    assert error(cells[0])
    assert printed(cells[1]) == "next\n"


def test_a_test_tagged_to_be_skipped_runs_all_the_same(tmp_path):
    cell = test_cell("assert False")
    cell.metadata["tags"] = ["skip-execution"]
    assert error(run([cell], tmp_path)[0]).startswith("AssertionError")


@pytest.mark.parametrize(
    "cheat",
    [
        "import ast\nclass NoAssert(ast.NodeTransformer):\n    def visit_Assert(self, node): return ast.Pass()\n"
        "get_ipython().ast_transformers.append(NoAssert())",
        "get_ipython().input_transformers_post.append(lambda lines: ['pass\\n'])",
        "get_ipython().displayhook.__class__.__call__ = lambda *a: None",
    ],
    ids=["deletes asserts", "replaces cells", "hides values"],
)
def test_a_notebook_that_changes_its_tests_earns_nothing(cheat, tmp_path):
    cells = run([cheat, test_cell("assert 1 == 2\n0.5")], tmp_path)
    assert error(cells[1])


def test_an_honest_test_passes(tmp_path):
    assert not error(run([test_cell("assert 1 == 1")], tmp_path)[0])


def test_hidden_tests_of_the_notebook_lie_nowhere_in_the_kernels_files(tmp_path):
    (tmp_path / "lab.ipynb").write_text("SECRET")
    look = "import os\nprint([os.path.join(d, f) for d, _, fs in os.walk('/home') for f in fs])"
    assert printed(run([look], tmp_path)[0]) == "[]\n"
