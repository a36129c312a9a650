"""Checkpoint on notice and requeue. Oracle: the same training in one piece, whose weights must be the same bits."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from course_lib.finops.spot import REQUEUE_EXIT_CODE, LocalMetadataServer

SCRIPT = Path(__file__).with_name("spot_training.py")
STEPS = 120


def start(server, checkpoint, pause_seconds):
    command = [sys.executable, str(SCRIPT), server.url, str(checkpoint), str(STEPS), str(pause_seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def steps_until_interrupted(server, checkpoint, at_step):
    """Run until a step is reached, announce the interruption, and wait for the process to leave by itself."""
    with start(server, checkpoint, 0.05) as process:
        for line in process.stdout:
            if int(line) == at_step:
                server.interrupt()
                break
        last = [int(line) for line in process.stdout]
    assert process.returncode == REQUEUE_EXIT_CODE
    return last[-1] + 1 if last else at_step + 1


@pytest.mark.slow
def test_a_training_that_is_interrupted_twice_ends_with_the_same_bits(tmp_path):
    with LocalMetadataServer() as server:
        with start(server, tmp_path / "whole.pt", 0) as whole:
            assert [int(line) for line in whole.stdout] == list(range(STEPS))
        assert whole.returncode == 0
        parts = tmp_path / "parts.pt"
        for at_step in (15, 60):
            ran = steps_until_interrupted(server, parts, at_step)
            assert at_step < ran < STEPS
            assert torch.load(parts, weights_only=True)["steps"] == ran  # everything that was computed is saved
            server.all_clear()  # the next instance has no notice
        with start(server, parts, 0) as last:
            assert int(last.stdout.readline()) == ran
            last.stdout.read()
        assert last.returncode == 0
    whole_state = torch.load(tmp_path / "whole.pt", weights_only=True)
    parts_state = torch.load(parts, weights_only=True)
    assert parts_state["steps"] == STEPS
    for name, weight in whole_state["model"].items():
        assert torch.equal(parts_state["model"][name], weight), name
    assert list(tmp_path.glob("*.part")) == []
