"""Runs a submission cell by cell so that one bad cell costs one cell.

This stands in for nbgrader's Execute preprocessor (nbgrader's own configuration option allows that). A cell that kills
its kernel, never ends, or floods its output gets an error; a fresh kernel replays what went well before and
goes on with the next cell. nbgrader then grades the outputs as always.
"""

from __future__ import annotations

import copy
import time
from typing import Any

from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from nbgrader.utils import is_grade, is_solution
from traitlets import Integer

from grading import probe
from grading.confined import ConfinedExecute
from grading.outputs import fail

ENDED = "the code ended the Python process"
SETTLE_SECONDS = 0.3  # IPython's exit() lets the kernel live on for a tenth of a second


class GradedExecute(ConfinedExecute):
    """nbgrader's Execute, with a sandbox, limits, and a new kernel after each death."""

    max_restarts = Integer(12, help="Fresh kernels for one submission before the rest of it counts as failed.").tag(
        config=True
    )

    def preprocess(
        self, nb: NotebookNode, resources: Any = None, km: Any = None
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Executes every code cell of `nb`, in place."""
        self._open(nb, resources)
        self._restarts = 0
        self._replay: list[int] = []
        self.error_on_timeout = _timeout_reply(self.timeout)
        self._start()
        try:
            for index, cell in enumerate(nb.cells):
                if cell.cell_type == "code":
                    self._run(cell, index)
        finally:
            self._stop()
        return nb, self.resources

    def _run(self, cell: NotebookNode, index: int) -> None:
        """Runs one cell; whatever happens, it ends with outputs that say what happened."""
        reason = ""
        for _ in range(2):
            if time.monotonic() > self._deadline:
                reason = f"the submission ran for more than {self._limits.wall_seconds} s; this cell was not run"
                fail(cell, "SubmissionTimeout", reason)
                return
            if self.kc is None:
                fail(cell, "KernelDied", f"not run: {self._restarts} kernels of this submission died before")
                return
            reason = self._attempt(cell, index) or ""
            if not reason:
                self._check_probe(cell, index)
                return
            if self._begun:
                fail(cell, "KernelDied", reason)
                self._recover()
                return
            # No word came that this cell had begun: the one before may have ended the process on its way out. A
            # careful replay finds out; if this cell's second try ends the same way, it is this one.
            self._recover(careful=True)
        fail(cell, "KernelDied", reason)
        self._recover()

    def _attempt(self, cell: NotebookNode, index: int) -> str | None:
        """Executes one cell; returns None when the kernel lives, else what became of it."""
        self._count_anew()
        try:
            self.execute_cell(cell, index, store_history=True)
        except DeadKernelError:
            return self._reason() or ENDED
        except CellTimeoutError:
            return self._reason() or f"ran longer than {self.timeout} s and did not stop when asked to"
        if reason := self._look():
            return reason  # what the cell left running would otherwise be counted against the next one
        if any(output.get("ename") == "MemoryError" for output in cell.outputs):
            # What filled the memory may still lie in it, and would fail every cell that follows.
            return "the code asked for more memory than it may have"
        if self._timed_out:
            cell.metadata["grading"] = {"name": "CellTimeoutError", "reason": self.error_on_timeout["evalue"]}
        else:
            self._replay.append(index)
        return None

    def _check_probe(self, cell: NotebookNode, index: int) -> None:
        """After a test, checks that the kernel still reports errors and results; if not, the test proved nothing."""
        if not (is_grade(cell) and not is_solution(cell)):
            return
        again = probe.twin(cell)
        trial = [*probe.make(), *([again] if again else [])]
        for source, expected in trial:
            scratch = new_code_cell(source)
            try:
                self._silently(scratch)
                alive, honest = True, expected(scratch.outputs)
            except (DeadKernelError, CellTimeoutError):
                alive, honest = False, False
            if honest:
                continue
            ended = self._look()  # a limit that the test's own code broke, a moment late: that is no trick
            fail(cell, "KernelDied" if ended else "Tampered", ended or probe.MESSAGE)
            if ended or not alive:
                self._replay = [kept for kept in self._replay if kept != index]  # it would break the next kernel too
                self._recover()
            return

    def _recover(self, careful: bool = False) -> None:
        """Takes a fresh kernel and brings it to where the old one was, without the cells that kill it again.

        Args:
            careful: look after each replayed cell whether the kernel stays alive, to find the one that ends it.
        """
        self._stop()
        replay, self._replay = self._replay, []
        while self._restarts < self.max_restarts and time.monotonic() < self._deadline:
            self._restarts += 1
            self._start()
            end = self._replay_cells(replay, careful)
            if end is None:
                self._replay = replay
                return
            if careful:
                killer, reason = end
                replay = [index for index in replay if index != killer]
                fail(self.nb.cells[killer], "KernelDied", reason)
            careful = True
            self._stop()

    def _replay_cells(self, replay: list[int], careful: bool) -> tuple[int, str] | None:
        """Runs earlier cells again for their effects; returns the one that the kernel did not survive, and why."""
        for index in replay:
            scratch = copy.deepcopy(self.nb.cells[index])
            try:
                self._silently(scratch)
                if careful:
                    time.sleep(SETTLE_SECONDS)
                    self.wait_for_reply(self.kc.kernel_info())
            except (DeadKernelError, CellTimeoutError):
                return index, self._reason() or ENDED
            if reason := self._look():
                return index, reason
        return None


def _timeout_reply(seconds: int) -> dict[str, Any]:
    reason = f"ran longer than {seconds} s and was stopped"
    return {"ename": "CellTimeoutError", "evalue": reason, "traceback": [f"CellTimeoutError: {reason}"]}
