"""Schedules as lists, and their timelines. Oracle: PyTorch's schedules as they really run, and closed formulas."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.arithmetic import pipeline_bubble
from course_lib.distributed import TrainingSetupError, measured_timeline, pipeline_timeline, schedule_orders
from course_lib.distributed.pipeline_schedules import SCHEDULES

CASES = [("gpipe", 3, 2, 1), ("1f1b", 4, 6, 1), ("interleaved", 2, 4, 3), ("zb1p", 3, 6, 1), ("zbv", 3, 7, 1)]


@pytest.mark.parametrize(("schedule", "ranks", "microbatches", "chunks"), CASES)
def test_ranks_do_what_the_lists_say_action_by_action(launch_ranks, schedule, ranks, microbatches, chunks):
    """Oracle: torch.distributed.pipelining, its schedules run on real ranks and watched."""
    ours = schedule_orders(schedule, ranks, microbatches, chunks)
    seen = measured_timeline(
        schedule, ranks, microbatches, chunks, forward_seconds=1e-3, backward_seconds=2e-3, launcher=launch_ranks
    )
    for rank in range(ranks):
        assert [timed.action for timed in seen.of_rank(rank)] == ours[rank]
        times = [t for timed in seen.of_rank(rank) for t in (timed.start, timed.stop)]
        assert times == sorted(times)
    arrived = {(t.action.stage, t.action.microbatch): t.stop for t in seen.actions if t.action.kind == "F"}
    for (stage, microbatch), stop in arrived.items():
        assert stage == 0 or arrived[stage - 1, microbatch] < stop
    assert 0 < seen.waiting_share < 1


@pytest.mark.parametrize("chunks", [1, 2, 3])
@given(ranks=st.integers(1, 8), rounds=st.integers(1, 4), schedule=st.sampled_from(SCHEDULES))
def test_the_bubble_and_the_activations_in_flight_are_those_of_the_formulas(chunks, ranks, rounds, schedule):
    """Oracle: course_lib.arithmetic.pipeline_bubble, whose own oracle is the papers' formulas."""
    if schedule == "zbv":
        rounds = max(2, rounds)  # the pattern fills up from 2p - 1 microbatches on
    if (schedule == "interleaved") != (chunks > 1):
        return
    microbatches = ranks * rounds
    line = pipeline_timeline(schedule, ranks, microbatches, chunks)
    formula = pipeline_bubble(ranks, microbatches, schedule, chunks)
    assert line.in_flight(0) == pytest.approx(formula.activations_in_flight)
    assert max(line.in_flight(rank) for rank in range(ranks)) == pytest.approx(formula.activations_in_flight)
    if schedule == "zbv":  # ranks start and end one after the other, and none waits in between
        assert [line.gaps(rank) for rank in range(ranks)] == pytest.approx([0.0] * ranks)
    else:
        assert line.waiting_share == pytest.approx(formula.bubble_fraction)
        assert line.length == pytest.approx(formula.ideal_seconds + formula.bubble_seconds)


@given(forward=st.floats(0.1, 3), backward=st.floats(0.1, 3), ranks=st.integers(1, 6), more=st.integers(0, 9))
def test_a_timeline_takes_the_times_that_it_is_given(forward, backward, ranks, more):
    """Oracle: pipeline_bubble for 1F1B."""
    line = pipeline_timeline("1f1b", ranks, ranks + more, forward=forward, backward=backward)
    formula = pipeline_bubble(ranks, ranks + more, forward_seconds=forward, backward_seconds=backward)
    assert line.length == pytest.approx(formula.ideal_seconds + formula.bubble_seconds)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("2f2b", 2, 4, 1), "pipeline_schedule='2f2b' is not known"),
        (("1f1b", 4, 3, 1), "microbatches=3 must be at least the 4 pipeline ranks"),
        (("interleaved", 4, 6, 2), "microbatches=6 can't be shared equally by 4 pipeline ranks.*use 4 or 8"),
        (("interleaved", 4, 8, 1), "virtual_stages=1 does not fit"),
        (("zbv", 4, 8, 2), "virtual_stages=2 does not fit"),
        (("gpipe", 0, 8, 1), "ranks=0"),
        (("gpipe", 2, 0, 1), "microbatches=0"),
        (("gpipe", 2, 2, 1.5), "virtual_stages=1.5"),
    ],
)
def test_numbers_with_which_a_schedule_can_not_run_are_refused(arguments, told):
    with pytest.raises(TrainingSetupError, match=told):
        pipeline_timeline(*arguments)
    with pytest.raises(TrainingSetupError, match=told):
        measured_timeline(*arguments)
