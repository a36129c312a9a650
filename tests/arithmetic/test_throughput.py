"""throughput, parallel and money. Oracle: round numbers that a reader can check in the head."""

from hypothesis import given
from hypothesis import strategies as st

from course_lib import arithmetic as a


def test_rates_and_times_are_plain_divisions():
    """Oracle: by hand."""
    assert a.tokens_per_second(10, 100, 4) == 250
    assert a.seconds_for_tokens(1000, 250) == 4
    assert a.flops_per_s_per_accelerator(80, 2, 4) == 10
    assert a.aggregate_flops_per_s(10, 4) == 40
    assert a.training_seconds(80, 4, 10) == 2
    assert a.wall_seconds(4, 2) == 7200
    assert a.throughput_gain(3, 2) == 0.5


def test_money_is_hours_times_price():
    """Oracle: by hand."""
    assert a.accelerator_hours(2e12, 5) == 10
    assert a.cost_usd(10, 2.5) == 25
    assert a.saving(3, 4) == 0.25
    assert a.saving(5, 4) == -0.25


def test_a_layout_multiplies_its_degrees():
    """Oracle: by hand."""
    assert a.world_size() == 1
    assert a.world_size(tensor_parallel=2, context_parallel=3, pipeline_parallel=5, data_parallel=7) == 210
    assert a.tokens_per_step(data_parallel=2, sequences_per_replica=3, sequence_length=5) == 30


@given(flops=st.floats(1e15, 1e26), n=st.integers(1, 100_000), rate=st.floats(1e12, 1e15))
def test_achieved_rate_inverts_training_time(flops, n, rate):
    """Oracle: the rate that the time was computed from."""
    seconds = a.training_seconds(flops, n, rate)
    assert abs(a.flops_per_s_per_accelerator(flops, seconds, n) / rate - 1) < 1e-12
