"""When each rank of a pipeline does what: computed from a schedule, or written down by ranks that really ran it."""

from __future__ import annotations

from dataclasses import dataclass

from course_lib.distributed.pipeline_schedules import Action, Kind, schedule_orders, stages_of


@dataclass(frozen=True)
class TimedAction:
    """An action with its time.

    Args:
        rank: who does it.
        action: what.
        start, stop: when, in the caller's unit, from the start of the step.
    """

    rank: int
    action: Action
    start: float
    stop: float


@dataclass(frozen=True)
class Timeline:
    """A pipeline step, action by action.

    Args:
        ranks: pipeline-parallel degree.
        chunks: stages that each rank holds.
        actions: rank by rank, each rank's in order of time.
    """

    ranks: int
    chunks: int
    actions: tuple[TimedAction, ...]

    def of_rank(self, rank: int) -> list[TimedAction]:
        """One rank's actions in order."""
        return [timed for timed in self.actions if timed.rank == rank]

    @property
    def length(self) -> float:
        """From the first start to the last stop."""
        return max(t.stop for t in self.actions) - min(t.start for t in self.actions)

    @property
    def waiting_share(self) -> float:
        """Share of the step that ranks spend without work, the mean over ranks: the bubble, 0 to 1."""
        busy = sum(t.stop - t.start for t in self.actions)
        return 1 - busy / (self.ranks * self.length)

    def gaps(self, rank: int) -> float:
        """Time that a rank waits between its own first and last action."""
        mine = self.of_rank(rank)
        return mine[-1].stop - mine[0].start - sum(t.stop - t.start for t in mine)

    def in_flight(self, rank: int) -> float:
        """Most microbatches whose activations a rank holds at once, counted in whole stages (1 = all its chunks)."""
        held = peak = 0
        for timed in self.of_rank(rank):
            held += {"F": 1, "B": -1, "I": 0, "W": -1}[timed.action.kind]
            peak = max(peak, held)
        return peak / self.chunks


def pipeline_timeline(
    schedule: str,
    ranks: int,
    microbatches: int,
    virtual_stages: int = 1,
    *,
    forward: float = 1.0,
    backward: float = 2.0,
    weight: float | None = None,
) -> Timeline:
    """The timeline of a schedule whose messages take no time: every action starts as early as it can.

    Args:
        schedule, ranks, microbatches, virtual_stages: as in `check_schedule`.
        forward: one microbatch through all of a rank's chunks, in any unit.
        backward: both gradients of it.
        weight: the part of `backward` that computes weight gradients; half of it when left out.

    Returns:
        The timeline, in that unit.

    Raises:
        TrainingSetupError: when the schedule can't run with these numbers.

    Source: definitions; `course_lib.arithmetic.pipeline_bubble` has the closed forms.
    """
    orders = schedule_orders(schedule, ranks, microbatches, virtual_stages)
    chunks = len(stages_of(schedule, ranks, 0, virtual_stages))
    w = backward / 2 if weight is None else weight
    length: dict[Kind, float] = {"F": forward, "B": backward, "I": backward - w, "W": w}
    last = ranks * chunks - 1
    done: dict[tuple[bool, int, int], float] = {}  # (is it forward, stage, microbatch) → when its message was there
    clocks, upcoming = [0.0] * ranks, [0] * ranks
    timed: list[list[TimedAction]] = [[] for _ in range(ranks)]
    while any(here < len(order) for here, order in zip(upcoming, orders, strict=True)):
        moved = False
        for rank, order in enumerate(orders):
            while upcoming[rank] < len(order):
                action = order[upcoming[rank]]
                ready = _ready(action, last, done)
                if ready is None:
                    break
                start = max(clocks[rank], ready)
                clocks[rank] = start + length[action.kind] / chunks
                if action.kind != "W":
                    done[action.kind == "F", action.stage, action.microbatch] = clocks[rank]
                timed[rank].append(TimedAction(rank, action, start, clocks[rank]))
                upcoming[rank] += 1
                moved = True
        assert moved, f"schedule {schedule} waits for itself"
    return Timeline(ranks, chunks, tuple(t for of_rank in timed for t in of_rank))


def _ready(action: Action, last: int, done: dict[tuple[bool, int, int], float]) -> float | None:
    """When an action's input is there; None when nobody has made it yet."""
    if action.kind == "W" or (action.kind == "F" and action.stage == 0):
        return 0.0  # nothing from elsewhere: the rank's own order is enough
    if action.kind == "F":
        return done.get((True, action.stage - 1, action.microbatch))
    if action.stage == last:
        return done.get((True, last, action.microbatch))
    return done.get((False, action.stage + 1, action.microbatch))
