"""Launching ranks: results, one clear error for all, nothing left behind. Oracles: gloo, psutil, the kernel."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time

import psutil
import pytest
import torch
import torch.distributed as dist

from course_lib.runtime import Launcher, LaunchError, RankFailed, RanksTimedOut, launch

ONLY_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody is handed orphans")


@pytest.fixture(scope="module")
def launcher():
    with Launcher() as warm:
        yield warm


def quiet(launcher, fn, world_size, *args, **options):
    return launcher(fn, world_size, *args, **({"output": "none", "timeout_seconds": 120} | options))


def descendants():
    return {child.pid for child in psutil.Process().children(recursive=True)}


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_each_rank_runs_the_function_in_one_process_group(launcher, world_size):
    """Oracle: gloo's all-reduce of the ranks' numbers."""

    def work(offset):
        total = torch.tensor(dist.get_rank() + offset)
        dist.all_reduce(total)
        return dist.get_rank(), os.getpid(), int(total), os.environ["WORLD_SIZE"], os.environ["LOCAL_RANK"]

    results = quiet(launcher, work, world_size, 10)
    expected = sum(range(world_size)) + 10 * world_size
    assert [(rank, total) for rank, _, total, _, _ in results] == [(r, expected) for r in range(world_size)]
    assert len({pid for _, pid, *_ in results} | {os.getpid()}) == world_size + 1
    assert [(size, local) for *_, size, local in results] == [(str(world_size), str(r)) for r in range(world_size)]


def test_prints_come_back_whole_with_the_ranks_number(launcher, capsys):
    def work():
        print("first", end=" ")
        print("line")
        sys.stderr.write("no newline")

    launcher(work, 2)
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines) == sorted(f"[rank {r}] {text}" for r in (0, 1) for text in ("first line", "no newline"))


def test_a_rank_that_raises_ends_the_others_with_its_traceback_alone(launcher):
    def work():
        if dist.get_rank() == 1:
            raise KeyError("planted")
        dist.barrier()  # would wait for ever

    with pytest.raises(RankFailed) as caught:
        quiet(launcher, work, 3)
    text = str(caught.value)
    assert text.startswith("rank 1 of 3 failed: KeyError: 'planted'")
    assert text.count("Traceback") == 2  # the heading, and Python's own first line
    assert "in work" in text
    assert "_call" not in text, "the launcher's own frames are no news to the user"


@pytest.mark.parametrize(
    ("end", "said"),
    [(lambda: os.kill(os.getpid(), signal.SIGKILL), "killed by SIGKILL"), (lambda: os._exit(3), "exit status 3")],
)
def test_a_rank_that_dies_without_a_word_is_named_and_not_its_victims(launcher, end, said):
    """Oracle: the kernel's exit status of the process."""

    def work():
        if dist.get_rank() == 1:
            end()
        dist.barrier()

    with pytest.raises(RankFailed, match=f"rank 1 of 2 failed: .*{said}"):
        quiet(launcher, work, 2)


def test_a_rank_that_ends_early_is_noticed_although_its_child_keeps_its_connection_open(launcher):
    """Oracle: os.fork, whose child holds every connection of its parent and lives on."""

    def work():
        if dist.get_rank() == 1:
            if os.fork():
                os._exit(0)
            time.sleep(600)
        dist.barrier()

    with pytest.raises(RankFailed, match=r"rank 1 of 2 failed: .*exit status 0"):
        quiet(launcher, work, 2)


def test_a_setting_that_all_ranks_refuse_is_said_once():
    def work():
        raise ValueError("microbatch=0 must be at least 1. Remedy: give 1.")

    with pytest.raises(RankFailed) as caught:
        launch(work, 3, output="none")
    assert str(caught.value) == "All 3 ranks failed alike: ValueError: microbatch=0 must be at least 1. Remedy: give 1."


def test_when_time_is_up_the_error_says_where_each_rank_was(launcher):
    def work():
        if dist.get_rank() == 1:
            time.sleep(600)
        dist.barrier()

    with pytest.raises(RanksTimedOut) as caught:
        quiet(launcher, work, 2, timeout_seconds=4)
    assert "waiting in barrier, called from test_launch.py" in caught.value.waiting[0]
    assert "test_launch.py" in caught.value.waiting[1]
    assert "barrier" not in caught.value.waiting[1]


@pytest.mark.parametrize("own_session", [False, pytest.param(True, marks=ONLY_LINUX)])
def test_what_a_rank_started_ends_with_it(launcher, own_session):
    """Oracle: psutil, asked about the process that the rank started, in the rank's process group or out of it."""

    def work():
        child = subprocess.Popen(["sleep", "600"], start_new_session=own_session)
        return child.pid

    pids = quiet(launcher, work, 2)
    limit = time.monotonic() + 30
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_launch_leaves_no_process_behind():
    before = descendants()
    assert launch(os.getpid, 2, output="none") != []
    with pytest.raises(RankFailed):
        launch(lambda: 1 / 0, 2, output="none")
    assert descendants() == before


def test_ranks_end_when_the_program_that_launched_them_is_killed(tmp_path):
    """Oracle: psutil, asked about every rank after `kill -9` of their program."""
    script = tmp_path / "program.py"
    script.write_text(
        textwrap.dedent("""
            import os, sys, time
            from course_lib.runtime import launch
            def work():
                print(os.getpid())
                time.sleep(600)
            launch(work, 2)
        """)
    )
    program = subprocess.Popen([sys.executable, "-u", str(script)], stdout=subprocess.PIPE, text=True)
    ranks = [int(program.stdout.readline().split()[-1]) for _ in range(2)]
    program.kill()
    program.wait()
    limit = time.monotonic() + 30
    while any(psutil.pid_exists(pid) for pid in ranks) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not any(psutil.pid_exists(pid) for pid in ranks)
    program.stdout.close()


def test_an_interrupt_ends_the_ranks():
    before = descendants()
    threading.Timer(6, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        launch(lambda: time.sleep(600), 2, output="none")
    assert descendants() == before


def test_a_port_in_use_is_named(launcher):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LaunchError, match=f"port={port} on 127.0.0.1 can't be used.*Remedy"):
            quiet(launcher, os.getpid, 2, port=port)
    assert len(quiet(launcher, os.getpid, 2, port=port)) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"world_size": 0}, "world_size=0 must be a whole number from 1 to 128"),
        ({"world_size": 2.0}, "world_size=2.0 must be"),
        ({"fn": 3}, "fn=3 can't be called"),
        ({"timeout_seconds": float("inf")}, "timeout_seconds=inf must be a finite"),
        ({"port": 0}, "port=0 must be"),
        ({"port": 70_000}, "port=70000 must be"),
        ({"output": "some"}, "output='some' is not known"),
        ({"threads_per_rank": 0}, "threads_per_rank=0 must be"),
        ({"hardware": "abacus"}, "'abacus' is not known"),
    ],
)
def test_bad_settings_are_refused_with_a_remedy(launcher, changes, said):
    settings = {"fn": os.getpid, "world_size": 1, "timeout_seconds": 120, "output": "none"} | changes
    with pytest.raises(LaunchError) as caught:
        launcher(**settings)
    assert said in str(caught.value)
    assert "Remedy" in str(caught.value)


def test_a_missing_rank_is_named_by_those_that_wait():
    """Two of three ranks meet at a store; the third never comes."""
    from course_lib.runtime import host_store, join_group

    store = host_store()
    errors = []

    def come(rank):
        try:
            join_group(rank, 3, "127.0.0.1", store.port, "gloo", patience_seconds=1.5)
        except LaunchError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=come, args=(rank,)) for rank in (0, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 2
    assert all("1 of 3 ranks did not arrive within 1.5 s: 1. Remedy" in error for error in errors)


def test_where_nobody_listens_the_address_is_named():
    from course_lib.runtime import join_group

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(LaunchError, match=f"rank 1 found no rendezvous at 127.0.0.1:{port} within 1 s"):
        join_group(1, 2, "127.0.0.1", port, "gloo", patience_seconds=1)


def test_a_function_may_say_dist_and_config(launcher):
    """Oracle: Python itself, which runs the function. cloudpickle takes the two words for torch.distributed.config."""

    class Engine:
        config = 7

    def work():
        return dist.get_rank(), Engine().config

    assert quiet(launcher, work, 2) == [(0, 7), (1, 7)]


def test_the_same_script_runs_under_torchrun(tmp_path):
    """Oracle: torchrun itself starts the ranks; launch() runs in them."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            import os
            import sys
            import torch.distributed as dist
            from course_lib.runtime import launch
            results = launch(lambda: (dist.get_rank(), os.getpid()), 2)
            assert results[dist.get_rank() if dist.is_initialized() else int(os.environ["RANK"])][1] == os.getpid()
            # One write: print writes its end by itself, and both ranks write into torchrun's one pipe.
            sys.stdout.write(f"ranks {[rank for rank, _ in results]}\\n")
        """)
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ranks [0, 1]") == 2
