"""The warm interpreter that runs a lab's variants. Oracle: the operating system's table of processes."""

import json
import signal
import subprocess
import sys
import time

import psutil

from grading.release import forkserver

ENDLESS = "import os\nopen('pid', 'w').write(str(os.getpid()))\nwhile True:\n    pass"


def test_a_variant_that_never_ends_dies_with_its_interpreter(tmp_path):
    """One that was left behind by a killed check ran on for minutes, with four gigabytes."""
    server = subprocess.Popen([sys.executable, "-P", forkserver.__file__], stdin=subprocess.PIPE, text=True)
    job = {"cells": [{"source": ENDLESS, "points": None}], "stop_at_first_loss": False, "seconds": 200}
    print(json.dumps({"folder": str(tmp_path), "ahead": []}), json.dumps(job), sep="\n", file=server.stdin, flush=True)
    told = tmp_path / "pid"
    while not (told.exists() and told.read_text()):
        assert server.poll() is None
        time.sleep(0.05)
    variant = psutil.Process(int(told.read_text()))
    server.send_signal(signal.SIGKILL)
    server.wait()
    _, alive = psutil.wait_procs([variant], timeout=30)
    assert not alive
