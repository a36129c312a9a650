"""Launching by a user who misunderstands: what can't be sent, forks, threads, odd output. Oracle: Python itself."""

import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch.distributed as dist

from course_lib.runtime import Launcher, LaunchError, RankFailed, RankFailure, RanksTimedOut


@pytest.fixture(scope="module")
def launcher():
    with Launcher() as warm:
        yield warm


def text_of_failure(launcher, fn, world_size=2, *args, **options):
    with pytest.raises(LaunchError) as caught:
        launcher(fn, world_size, *args, timeout_seconds=120, **options)
    return str(caught.value)


def test_a_result_that_can_not_be_sent_is_named_with_a_remedy(launcher):
    text = text_of_failure(launcher, lambda: threading.Lock())
    assert text.startswith("All 2 ranks failed alike: LaunchError: what fn returned, a lock, can't be sent")
    assert "Remedy: return numbers" in text
    assert "Traceback" not in text


def test_a_function_that_can_not_be_sent_is_refused_before_any_rank_starts():
    with Launcher() as cold:
        text = text_of_failure(cold, lambda: cold)
        assert cold._nursery is None
    assert "fn, or something that it uses, can't be sent to the ranks" in text


@pytest.mark.parametrize(("args", "options"), [((), {}), ((1,), {"timeout": 5})])
def test_arguments_that_do_not_fit_are_refused_before_any_rank_starts(args, options):
    def work(steps):
        return steps

    with Launcher() as cold:
        text = text_of_failure(cold, work, 2, *args, **options)
        assert cold._nursery is None
    assert text.startswith("work(steps) can't be called as asked")
    assert "timeout_seconds" in text


def test_an_exception_whose_text_fails_is_still_shown(launcher):
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    def work():
        raise Mute

    assert "Mute: (its text can't be made: RuntimeError)" in text_of_failure(launcher, work)


def test_a_huge_message_is_cut(launcher):
    def work():
        raise ValueError("x" * 5_000_000)

    text = text_of_failure(launcher, work, 1)
    assert len(text) < 50_000
    assert "characters left out" in text


def test_a_child_that_a_rank_forked_does_not_speak_for_it(launcher):
    """Oracle: os.fork, whose child must not bring a second result or failure."""

    def work(end):
        pid = os.fork()
        if pid == 0:
            return end() if callable(end) else end
        os.waitpid(pid, 0)
        return "parent"

    assert launcher(work, 2, "child", timeout_seconds=120) == ["parent", "parent"]
    assert launcher(work, 2, sys.exit, timeout_seconds=120) == ["parent", "parent"]


def test_calls_from_several_threads_take_turns(launcher):
    with ThreadPoolExecutor(3) as pool:
        results = pool.map(lambda i: launcher(lambda: (i, dist.get_rank()), 2, timeout_seconds=120), range(3))
    assert list(results) == [[(i, 0), (i, 1)] for i in range(3)]


def test_ranks_work_in_the_folder_and_environment_of_the_moment(launcher, tmp_path, monkeypatch):
    launcher(os.getpid, 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SET_AFTER_THE_START", "yes")
    assert launcher(lambda: (os.getcwd(), os.environ["SET_AFTER_THE_START"]), 1) == [
        (os.path.realpath(tmp_path), "yes")
    ]


def test_a_folder_that_was_deleted_is_said(launcher, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "the current folder has been deleted" in text_of_failure(launcher, os.getpid)


def test_bytes_progress_bars_and_odd_characters_are_printed(launcher, capsys):
    def work():
        sys.stdout.buffer.write("é".encode()[:1])
        sys.stdout.buffer.write("é".encode()[1:] + b"\n")
        print("10%\r50%\r100%")
        print("\ud800")

    launcher(work, 1)
    assert capsys.readouterr().out.splitlines() == ["é", "100%", "\\ud800"]


def test_a_closed_pipe_is_not_blamed_on_the_ranks():
    """Oracle: Python's own BrokenPipeError."""
    script = (
        "import sys\n"
        "from course_lib.runtime import launch\n"
        "try:\n"
        "    launch(lambda: [print('x' * 1000, i) for i in range(5000)], 1)\n"
        "except BrokenPipeError:\n"
        "    sys.stderr.write('broken pipe')\n"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    program.stdout.readline()
    program.stdout.close()
    assert "broken pipe" in program.stderr.read()
    program.wait()
    program.stderr.close()


@pytest.mark.parametrize(
    "error", [RankFailed(RankFailure(1, "ValueError", "no"), 2), RanksTimedOut(5.0, {0: "returned", 1: "here"})]
)
def test_errors_survive_the_way_through_a_process_pool(error):
    """Oracle: pickle."""
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)


def test_a_nursery_that_was_killed_is_said_and_replaced(launcher):
    text = text_of_failure(launcher, lambda: os.kill(os.getppid(), 9))
    assert "the process that starts the ranks has ended (killed by SIGKILL)" in text
    assert len(launcher(os.getpid, 2)) == 2
