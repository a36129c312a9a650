"""pipeline_bubble. Oracle: a simulation that runs every microbatch through every stage in each schedule's order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.arithmetic import pipeline_bubble


def order_of_stage(schedule, stage, stages, microbatches, chunks):
    """(kind, microbatch, chunk) in the order in which one device runs them."""
    p, m, v = stages, microbatches, chunks
    forward = [("F", (k // (p * v)) * p + k % p, (k // p) % v) for k in range(m * v)]
    backward = [("B", (k // (p * v)) * p + k % p, v - 1 - (k // p) % v) for k in range(m * v)]
    if schedule == "gpipe":
        return [("F", k, 0) for k in range(m)] + [("B", k, 0) for k in range(m)]
    if schedule == "1f1b":
        forward, backward = [("F", k, 0) for k in range(m)], [("B", k, 0) for k in range(m)]
        ahead = min(m, p - stage - 1)
    else:
        ahead = min(m * v, 2 * (p - stage - 1) + (v - 1) * p)
    order = forward[:ahead]
    for f, b in zip(forward[ahead:], backward, strict=False):
        order += [f, b]
    return order + backward[len(forward) - ahead :]


def simulate(schedule, stages, microbatches, chunks, forward_seconds, backward_seconds):
    """(time of the step, most chunk activations held at once by the first device)"""
    p, v = stages, chunks
    last = p * v - 1
    done, clock = {}, [0.0] * p
    queues = [order_of_stage(schedule, s, p, microbatches, v) for s in range(p)]
    held = peak = 0
    while any(queues):
        progress = False
        for s in range(p):
            while queues[s]:
                kind, mb, chunk = queues[s][0]
                position = chunk * p + s  # where this chunk stands in the whole model
                if kind == "F":
                    needs = ("F", mb, position - 1) if position else None
                else:
                    needs = ("B", mb, position + 1) if position < last else ("F", mb, position)
                if needs is not None and needs not in done:
                    break
                start = max(clock[s], done[needs] if needs else 0.0)
                clock[s] = start + (forward_seconds if kind == "F" else backward_seconds) / v
                done[kind, mb, position] = clock[s]
                queues[s].pop(0)
                progress = True
                if s == 0:
                    held += 1 if kind == "F" else -1
                    peak = max(peak, held)
        assert progress, "the schedule waits for itself"
    return max(clock), peak


@pytest.mark.parametrize(
    ("schedule", "stages", "microbatches", "chunks"),
    [("gpipe", 4, 8, 1), ("gpipe", 3, 2, 1), ("1f1b", 4, 8, 1), ("1f1b", 8, 24, 1), ("1f1b", 4, 2, 1),
     ("interleaved", 4, 8, 2), ("interleaved", 4, 16, 3), ("interleaved", 8, 24, 2)],
)  # fmt: skip
@pytest.mark.parametrize("times", [(1.0, 2.0), (1.0, 1.0)])
def test_the_bubble_is_what_a_simulated_pipeline_waits(schedule, stages, microbatches, chunks, times):
    """Oracle: the simulation's step time and peak of held activations."""
    f, b = times
    step, held = simulate(schedule, stages, microbatches, chunks, f, b)
    ours = pipeline_bubble(stages, microbatches, schedule, chunks, forward_seconds=f, backward_seconds=b)
    assert ours.ideal_seconds + ours.bubble_seconds == pytest.approx(step)
    assert ours.activations_in_flight == pytest.approx(held / chunks)


@given(p=st.integers(1, 64), m=st.integers(1, 512))
def test_more_microbatches_shrink_the_bubble_and_zero_bubble_schedules_beat_1f1b(p, m):
    """Oracle: zb2p <= zb1p <= 1f1b = gpipe, each falling as 1/m."""
    found = {s: pipeline_bubble(p, m, s) for s in ("gpipe", "1f1b", "zb1p", "zb2p", "zbv")}
    assert found["zb2p"].bubble_seconds == found["zbv"].bubble_seconds == 0
    assert found["zb1p"].bubble_seconds <= found["1f1b"].bubble_seconds == found["gpipe"].bubble_seconds
    assert pipeline_bubble(p, m + 1).bubble_over_ideal <= found["1f1b"].bubble_over_ideal
    assert found["1f1b"].activations_in_flight <= found["gpipe"].activations_in_flight


@given(p=st.integers(1, 64), m=st.integers(1, 512))
def test_the_fraction_of_the_step_is_x_over_1_plus_x(p, m):
    """Oracle: share of the whole, against share of the ideal."""
    ours = pipeline_bubble(p, m)
    x = ours.bubble_over_ideal
    assert ours.bubble_fraction == pytest.approx(x / (1 + x))
    assert 0 <= ours.bubble_fraction < 1


def test_dualpipe_waits_as_its_readme_says():
    """Oracle: (PP/2 - 1)(F&B + B - 3W) = 7 * 2 = 14 at PP=16, F=1, B=2, W=1; weights twice, activations PP+1."""
    ours = pipeline_bubble(16, 64, "dualpipe", forward_seconds=1, backward_seconds=2, weight_seconds=1)
    assert ours.bubble_seconds == 7 * (3 + 2 - 3)
    assert ours.parameter_copies == 2
    assert ours.activations_in_flight == 17


def test_zero_bubble_pays_with_activations():
    """Oracle: Qi et al. 2024: ZB-H2 keeps 2p - 1 microbatches, ZB-H1 and ZB-V keep 1F1B's p; never more than exist."""
    kept = {s: pipeline_bubble(8, 64, s).activations_in_flight for s in ("1f1b", "zb1p", "zbv", "zb2p")}
    assert kept == {"1f1b": 8, "zb1p": 8, "zbv": 8, "zb2p": 15}
    assert pipeline_bubble(8, 10, "zb2p").activations_in_flight == 10
