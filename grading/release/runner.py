"""Run variants of a lab's code cells and score them by nbgrader's own rule."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import nbformat
from nbformat.notebooknode import NotebookNode
from nbgrader import utils

from grading.release.errors import ReleaseError
from grading.verdict import settle

SECONDS = 180.0


@dataclass(frozen=True)
class Outcome:
    """What one code cell did. A cell that was not reached (the process died or was stopped) has `reached=False`."""

    error: tuple[str, str] | None
    stderr: str = ""
    stdout: str = ""
    value: str | None = None
    reached: bool = True

    def outputs(self) -> list[NotebookNode]:
        """The same as notebook outputs."""
        made: list[NotebookNode] = []
        if self.stdout:
            made.append(nbformat.v4.new_output("stream", name="stdout", text=self.stdout))
        if self.stderr:
            made.append(nbformat.v4.new_output("stream", name="stderr", text=self.stderr))
        if self.error:
            made.append(nbformat.v4.new_output("error", ename=self.error[0], evalue=self.error[1], traceback=[]))
        elif self.value is not None:
            made.append(nbformat.v4.new_output("execute_result", data={"text/plain": self.value}, execution_count=1))
        return made


NOT_REACHED = Outcome(error=("NotReached", "the notebook's process ended before this cell"), reached=False)


class Runner:
    """A fork server for one lab.

    Args:
        folder: Working folder of the cells, with the lab's supporting files.
        ahead: Text of the cells before the first exercise (imports, constants): they run once, every variant forks
            after them.
    """

    def __init__(self, folder: Path, ahead: list[str]) -> None:
        self._setup = {"folder": str(folder), "ahead": ahead}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def run(self, cells: list[Any], *, stop_at_first_loss: bool = False, seconds: float = SECONDS) -> list[Outcome]:
        """Run code cells in order in a fresh process.

        Args:
            cells: Notebook code cells, those that ran ahead left out.
            stop_at_first_loss: End after the first graded cell that does not earn all its points.
            seconds: Wall-clock limit for all cells together.

        Returns:
            One outcome for each cell, those that ran ahead first.

        Raises:
            ReleaseError: If the fork server itself ended, which is a fault of the machine and not of the lab.
        """
        job = {
            "cells": [{"source": c.source, "points": _points(c)} for c in cells],
            "stop_at_first_loss": stop_at_first_loss,
            "seconds": seconds,
        }
        process = self._started()
        try:
            print(json.dumps(job), file=process.stdin, flush=True)
            line = process.stdout.readline() if process.stdout else ""
        except BrokenPipeError:
            line = ""
        if not line:
            told = process.stderr.read().strip().splitlines() if process.stderr else []
            raise ReleaseError(f"The runner of lab variants ended: {told[-1] if told else 'no message'}. Run it again.")
        done = [
            Outcome(tuple(d["error"]) if d["error"] else None, d["stderr"], d["stdout"], d["value"])
            for d in json.loads(line)
        ]
        missing = len(self._setup["ahead"]) + len(cells) - len(done)
        return done + [NOT_REACHED] * missing

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                # By path, not as a module of this package: the child needs IPython and none of nbgrader.
                [sys.executable, "-P", str(Path(__file__).with_name("forkserver.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=Path(__file__).resolve().parents[2],
            )
            print(json.dumps(self._setup), file=self._process.stdin, flush=True)
        return self._process


def scored(cell: Any, outcome: Outcome) -> tuple[float, float]:
    """Score and maximum of a graded code cell, by nbgrader's rule."""
    copy = nbformat.from_dict(dict(cell))
    copy.outputs = outcome.outputs()
    score, points = utils.determine_grade(copy)
    return float(score), float(points)


def scored_by_the_course(cell: Any, outcome: Outcome) -> tuple[float, float]:
    """Score and maximum as `course grade` gives them: nbgrader's rule after the course's own verdict on the outputs."""
    copy = nbformat.from_dict(dict(cell))
    copy.outputs = outcome.outputs()
    settle(copy)
    score, points = utils.determine_grade(copy)
    return float(score), float(points)


def _points(cell: Any) -> float | None:
    return float(cell.metadata.nbgrader.points) if utils.is_grade(cell) else None
