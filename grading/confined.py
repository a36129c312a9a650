"""Starts, watches and ends the kernel that runs a submission, and bounds what its cells print.

The kernel lives in the sandbox (`grading.provisioner`); this is the grader's end of it, below the rule of which cell
pays for what (`grading.execute`).
"""

from __future__ import annotations

import time
from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import Execute
from traitlets import Bool, Dict

from grading.kernels import GradingKernelManager
from grading.limits import MIB, Limits
from grading.outputs import size_of

OUTPUT_MESSAGES = {"stream", "display_data", "execute_result", "error", "update_display_data"}


class KernelStartError(ValueError):
    """A kernel could not be started at all; that is the machine's fault, not the learner's."""


class ConfinedExecute(Execute):
    """nbgrader's Execute with its kernel in a sandbox, and with ceilings on its output."""

    sandbox = Bool(True, help="Run learners' code inside bubblewrap.").tag(config=True)
    limits = Dict(help="Ceilings that differ from grading.limits.Limits, by name.").tag(config=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A cell that a learner tags as one to skip would not run, print nothing, and so earn full marks.
        self.skip_cells_with_tag = ""
        self.store_widget_state = False
        self.shutdown_kernel = "immediate"

    def _open(self, nb: NotebookNode, resources: Any) -> None:
        """Takes a notebook on; its time starts now."""
        self.nb, self.km, self.kc, self.owns_km = nb, None, None, True
        self.reset_execution_trackers()
        self._check_assign_resources(resources)
        self._limits = Limits(**self.limits)
        self._deadline = time.monotonic() + self._limits.wall_seconds

    def _count_anew(self) -> None:
        """Before a cell: it has not begun, printed nothing and is in time."""
        self._begun, self._received, self._timed_out = False, 0, False

    async def _async_handle_timeout(self, timeout: int, cell: NotebookNode | None = None) -> Any:
        self._timed_out = True
        return await super()._async_handle_timeout(timeout, cell)

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

    def _silently(self, cell: NotebookNode) -> None:
        """Executes a cell that is not part of the notebook."""
        self._count_anew()
        self.nb.cells.append(cell)
        try:
            self.execute_cell(cell, len(self.nb.cells) - 1, store_history=False)
        finally:
            self.nb.cells.pop()

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

    def _end_kernel(self, reason: str) -> None:
        provisioner = self.km.provisioner if self.km is not None else None
        if hasattr(provisioner, "end"):
            provisioner.end(reason)
        elif provisioner is not None and provisioner.process is not None:
            provisioner.process.kill()

    def _reason(self) -> str | None:
        return getattr(self.km.provisioner, "reason", None) if self.km is not None else None

    def _look(self) -> str | None:
        look = getattr(self.km.provisioner, "look", None) if self.km is not None else None
        return look() if look is not None else None
