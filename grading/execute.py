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
from nbgrader.preprocessors import Execute
from nbgrader.utils import is_grade, is_solution
from traitlets import Bool, Dict, Integer

from grading import probe
from grading.kernels import GradingKernelManager
from grading.limits import MIB, Limits
from grading.outputs import error_output, size_of

ENDED = "the code ended the Python process"
SETTLE_SECONDS = 0.3  # IPython's exit() lets the kernel live on for a tenth of a second
WATCHDOG_SECONDS = 1.0  # by then the watchdog has seen what a test left running
OUTPUT_MESSAGES = {"stream", "display_data", "execute_result", "error", "update_display_data"}


class KernelStartError(ValueError):
    """A kernel could not be started at all; that is the machine's fault, not the learner's."""


class GradedExecute(Execute):
    """nbgrader's Execute, with a sandbox, limits, and a new kernel after each death."""

    sandbox = Bool(True, help="Run learners' code inside bubblewrap.").tag(config=True)
    limits = Dict(help="Ceilings that differ from grading.limits.Limits, by name.").tag(config=True)
    max_restarts = Integer(12, help="Fresh kernels for one submission before the rest of it counts as failed.").tag(
        config=True
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A cell that a learner tags as one to skip would not run, print nothing, and so earn full marks.
        self.skip_cells_with_tag = ""
        self.store_widget_state = False
        self.shutdown_kernel = "immediate"

    def preprocess(
        self, nb: NotebookNode, resources: Any = None, km: Any = None
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Executes every code cell of `nb`, in place."""
        self.nb, self.km, self.kc, self.owns_km = nb, None, None, True
        self.reset_execution_trackers()
        self._check_assign_resources(resources)
        self._limits = Limits(**self.limits)
        self._deadline = time.monotonic() + self._limits.wall_seconds
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

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> Any:
        """Counts a cell's output before nbclient keeps it."""
        if msg["msg_type"] == "execute_input":
            self._begun = True
        if msg["msg_type"] in OUTPUT_MESSAGES or msg["msg_type"].startswith("comm"):
            before, self._received = self._received, self._received + size_of(msg["content"])
            if self._received > 8 * self._limits.output_bytes:
                # It went around the limit inside the sandbox, so it does not mean to stop.
                self._end_kernel(f"printed more than {8 * self._limits.output_bytes / MIB:.0f} MiB")
                return None
            if self._received > self._limits.output_bytes and not self._keep(
                msg, first=before <= self._limits.output_bytes
            ):
                return None
        return super().process_message(msg, cell, cell_index)

    @staticmethod
    def _keep(msg: dict[str, Any], first: bool) -> bool:
        """Beyond the limit: the message that passes it is cut, errors and short results are kept, the rest goes."""
        if first and msg["msg_type"] == "stream":
            msg["content"]["text"] = msg["content"]["text"][:1000] + "\n... output cut here ...\n"
            return True
        return msg["msg_type"] in ("error", "execute_result") and size_of(msg["content"]) < 20_000

    # One cell -------------------------------------------------------------------------------------------------------

    def _run(self, cell: NotebookNode, index: int) -> None:
        """Runs one cell; whatever happens, it ends with outputs that say what happened."""
        reason = ""
        for _ in range(2):
            if time.monotonic() > self._deadline:
                reason = f"the submission ran for more than {self._limits.wall_seconds} s; this cell was not run"
                _fail(cell, "SubmissionTimeout", reason)
                return
            if self.kc is None:
                _fail(cell, "KernelDied", f"not run: {self._restarts} kernels of this submission died before")
                return
            reason = self._attempt(cell, index) or ""
            if not reason:
                self._check_probe(cell)
                return
            if self._begun:
                _fail(cell, "KernelDied", reason)
                self._recover()
                return
            # No word came that this cell had begun: the one before may have ended the process on its way out. A
            # careful replay finds out; if this cell's second try ends the same way, it is this one.
            self._recover(careful=True)
        _fail(cell, "KernelDied", reason)
        self._recover()

    def _attempt(self, cell: NotebookNode, index: int) -> str | None:
        """Executes one cell; returns None when the kernel lives, else what became of it."""
        self._begun, self._received, self._timed_out = False, 0, False
        try:
            self.execute_cell(cell, index, store_history=True)
        except DeadKernelError:
            return self._reason() or ENDED
        except CellTimeoutError:
            return self._reason() or f"ran longer than {self.timeout} s and did not stop when asked to"
        if any(output.get("ename") == "MemoryError" for output in cell.outputs):
            # What filled the memory may still lie in it, and would fail every cell that follows.
            return "the code asked for more memory than it may have"
        if self._timed_out:
            cell.metadata["grading"] = {"name": "CellTimeoutError", "reason": self.error_on_timeout["evalue"]}
        else:
            self._replay.append(index)
        return None

    async def _async_handle_timeout(self, timeout: int, cell: NotebookNode | None = None) -> Any:
        self._timed_out = True
        return await super()._async_handle_timeout(timeout, cell)

    def _check_probe(self, cell: NotebookNode) -> None:
        """After a test, checks that the kernel still reports errors and results; if not, the test proved nothing."""
        if not (is_grade(cell) and not is_solution(cell)):
            return
        again = probe.twin(cell)
        trial = [*probe.make(), *([again] if again else [])]
        for source, expected in trial:
            scratch = new_code_cell(source)
            self._begun, self._received, self._timed_out = False, 0, False
            try:
                self._silently(scratch)
                honest = expected(scratch.outputs)
                ended = None
            except (DeadKernelError, CellTimeoutError):
                honest = False
                ended = self._reason()  # a limit that the test's own code broke, a moment late: that is no trick
                self._recover()
            if not honest and not ended:
                time.sleep(WATCHDOG_SECONDS)  # processes left over from the test also garble the answers
                ended = self._reason()
            if not honest:
                _fail(cell, "KernelDied" if ended else "Tampered", ended or probe.MESSAGE)
                return

    def _silently(self, cell: NotebookNode) -> None:
        """Executes a cell that is not part of the notebook."""
        self.nb.cells.append(cell)
        try:
            self.execute_cell(cell, len(self.nb.cells) - 1, store_history=False)
        finally:
            self.nb.cells.pop()

    # The kernel -----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self.kernel_manager_class = GradingKernelManager
        manager = self.create_kernel_manager()
        if self.sandbox:
            left = max(1, int(self._deadline - time.monotonic()) + 5)
            manager.confine(Limits(**{**self._limits.as_dict(), "wall_seconds": left}))
        try:
            self.start_new_kernel()
            self.start_new_kernel_client()
        except RuntimeError as error:
            words = getattr(manager.provisioner, "last_words", "")
            self.km = self.kc = None
            raise KernelStartError(f"No kernel could be started: {error}. {words}".strip()) from error

    def _stop(self) -> None:
        manager = self.km
        if manager is not None:
            self._cleanup_kernel()
            manager.close_client()
        self.km = self.kc = None

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
            killer = self._replay_cells(replay, careful)
            if killer is None:
                self._replay = replay
                return
            if careful:
                replay = [index for index in replay if index != killer]
                _fail(self.nb.cells[killer], "KernelDied", ENDED)
            careful = True
            self._stop()

    def _replay_cells(self, replay: list[int], careful: bool) -> int | None:
        """Runs earlier cells again for their effects; returns the one that the kernel did not survive."""
        for index in replay:
            scratch = copy.deepcopy(self.nb.cells[index])
            self._begun, self._received, self._timed_out = False, 0, False
            try:
                self._silently(scratch)
                if careful:
                    time.sleep(SETTLE_SECONDS)
                    self.wait_for_reply(self.kc.kernel_info())
            except (DeadKernelError, CellTimeoutError):
                return index
        return None

    def _end_kernel(self, reason: str) -> None:
        provisioner = self.km.provisioner if self.km is not None else None
        if hasattr(provisioner, "end"):
            provisioner.end(reason)
        elif provisioner is not None and provisioner.process is not None:
            provisioner.process.kill()

    def _reason(self) -> str | None:
        return getattr(self.km.provisioner, "reason", None) if self.km is not None else None


def _fail(cell: NotebookNode, name: str, reason: str) -> None:
    """Gives a cell an error of the grader's; the metadata says so where no learner's code can write."""
    cell.outputs = [o for o in cell.outputs if o.output_type == "stream"] + [error_output(name, reason)]
    cell.metadata["grading"] = {"name": name, "reason": reason}


def _timeout_reply(seconds: int) -> dict[str, Any]:
    reason = f"ran longer than {seconds} s and was stopped"
    return {"ename": "CellTimeoutError", "evalue": reason, "traceback": [f"CellTimeoutError: {reason}"]}


__all__ = ["GradedExecute", "KernelStartError"]
