"""Watch a run's routing while it trains, in a notebook."""

from __future__ import annotations

from typing import Any, Protocol

from course_lib.moe.analysis import figures
from course_lib.moe.analysis.recorder import RoutingRecorder
from course_lib.moe.errors import check_count


class Handle(Protocol):
    """What `IPython.display.display(..., display_id=True)` gives back."""

    def update(self, shown: Any) -> None:
        """Put something else in the place of what is shown."""
        ...


class LiveView:
    """A recorder that also draws: given to `train` as `on_step`, it redraws one heat map every few steps.

    Args:
        recorder: of the run.
        layer: which mixture is drawn, from 0 at the input.
        every: draw every so many steps.
        handle: where to draw; a new output of the notebook's cell when left out.

    On other ranks than the first it records and draws nothing.
    """

    def __init__(
        self, recorder: RoutingRecorder, *, layer: int = 0, every: int = 10, handle: Handle | None = None
    ) -> None:
        check_count("every", every)
        self.recorder, self.layer, self.every, self.handle = recorder, layer, every, handle

    def __call__(self, step: int) -> None:
        """Record a step, and draw when it is time."""
        self.recorder(step)
        if self.recorder.first and step % self.every == 0 and self.recorder.records:
            self.draw()

    def draw(self) -> None:
        """Draw what has been recorded so far."""
        fig = figures.load_over_time(self.recorder.records, self.layer)
        if self.handle is None:
            from IPython.display import display

            self.handle = display(fig, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self.handle.update(fig)
