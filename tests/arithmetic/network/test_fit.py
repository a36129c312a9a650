"""Alpha and beta from times."""

import math
import random

import numpy as np
import pytest

from course_lib.arithmetic.collectives import ArithmeticInputError, collective_time
from course_lib.arithmetic.network import Switch, fit_alpha_beta, price, schedule
from course_lib.arithmetic.network.student import two_sided_t

ALPHA, BETA = 2e-5, 2e-10
SIZES = [2**k for k in range(10, 28)]


def times(op="all_reduce", algorithm="ring", ranks=4, sizes=SIZES, noise=0.0, seed=0):
    """Seconds of the model itself, times lognormal noise."""
    generator = random.Random(seed)
    ours = price(schedule(op, ranks, algorithm), Switch(ranks, 1 / BETA, ALPHA))
    return [ours.seconds(size) * math.exp(generator.gauss(0, noise)) for size in sizes]


@pytest.mark.parametrize(
    ("op", "algorithm", "ranks"),
    [
        ("all_reduce", "ring", 2), ("all_reduce", "ring", 3), ("all_reduce", "rabenseifner", 6),
        ("all_reduce", "binomial", 4), ("all_reduce", "direct", 4), ("all_gather", "ring", 4),
        ("reduce_scatter", "recursive_doubling", 8), ("broadcast", "binomial", 5), ("all_to_all", "bruck", 4),
        ("broadcast", "chain", 4),
    ],
)  # fmt: skip
def test_times_of_the_model_give_back_its_alpha_and_beta(op, algorithm, ranks):
    """Oracle: the numbers that the times were made of."""
    fit = fit_alpha_beta(SIZES, times(op, algorithm, ranks), op, algorithm, ranks)
    assert fit.alpha_seconds == pytest.approx(ALPHA, rel=1e-9)
    assert fit.beta_seconds_per_byte == pytest.approx(BETA, rel=1e-9)
    assert fit.relative_rms == pytest.approx(0, abs=1e-9)
    assert fit.predict(5e6).seconds == pytest.approx(times(op, algorithm, ranks, [5e6])[0])


@pytest.mark.parametrize("seed", range(5))
def test_without_outliers_it_is_the_weighted_least_squares_of_numpy(seed):
    """Oracle: numpy.linalg.lstsq on rows divided by the measured time; uniform noise has no outlier for Huber."""
    generator = random.Random(seed)
    measured = [t * (1 + generator.uniform(-0.02, 0.02)) for t in times()]
    fit = fit_alpha_beta(SIZES, measured, "all_reduce", "ring", 4)
    model = [collective_time("all_reduce", n, 4, alpha_seconds=1, beta_seconds_per_byte=1) for n in SIZES]
    rows = np.array([[m.steps / t, m.bytes_sent_per_rank / t] for m, t in zip(model, measured, strict=True)])
    scale = np.linalg.norm(rows, axis=0)
    theirs = np.linalg.lstsq(rows / scale, np.ones(len(rows)), rcond=None)[0] / scale
    assert (fit.alpha_seconds, fit.beta_seconds_per_byte) == pytest.approx(tuple(theirs), rel=0.01)
    if not fit.outliers and max(map(abs, fit.residuals)) < 0.02:
        assert fit.alpha_seconds == pytest.approx(theirs[0], rel=0.005)


@pytest.mark.parametrize("seed", range(10))
def test_noise_of_5_percent_is_averaged_out(seed):
    """Oracle: the numbers that the times were made of."""
    fit = fit_alpha_beta(SIZES, times(noise=0.05, seed=seed), "all_reduce", "ring", 4)
    assert fit.alpha_seconds == pytest.approx(ALPHA, rel=0.1)
    assert fit.beta_seconds_per_byte == pytest.approx(BETA, rel=0.1)
    assert 0.02 < fit.relative_rms < 0.09


def test_intervals_cover_as_often_as_they_say():
    """Oracle: 300 experiments with known alpha, beta and new measurements of a size that was left out."""
    covered = np.zeros(3)
    left_out = 3_000_000
    for seed in range(300):
        fit = fit_alpha_beta(SIZES, times(noise=0.05, seed=seed), "all_reduce", "ring", 4, confidence=0.9)
        new = times(sizes=[left_out], noise=0.05, seed=10_000 + seed)[0]
        guess = fit.predict(left_out)
        covered += [
            fit.alpha_interval[0] <= ALPHA <= fit.alpha_interval[1],
            fit.beta_interval[0] <= BETA <= fit.beta_interval[1],
            guess.low <= new <= guess.high,
        ]
    assert all(0.82 <= share <= 0.98 for share in covered / 300)


@pytest.mark.parametrize("seed", range(5))
def test_a_scheduler_that_looked_away_does_not_move_the_line(seed):
    """Oracle: the numbers that the times were made of, and which times were multiplied by 5."""
    measured = times(noise=0.03, seed=seed)
    late = [2, 9, 15]
    for i in late:
        measured[i] *= 5
    fit = fit_alpha_beta(SIZES, measured, "all_reduce", "ring", 4)
    assert set(late) <= set(fit.outliers)
    assert fit.alpha_seconds == pytest.approx(ALPHA, rel=0.1)
    assert fit.beta_seconds_per_byte == pytest.approx(BETA, rel=0.1)


def test_a_residual_is_what_a_measurement_took_more_than_predicted():
    """Oracle: one time of many made 1.5 times as long; it alone is an outlier."""
    measured = times()
    measured[7] *= 1.5
    fit = fit_alpha_beta(SIZES, measured, "all_reduce", "ring", 4)
    assert fit.residuals[7] == pytest.approx(0.5, rel=1e-3)
    assert fit.outliers == (7,)
    assert max(abs(r) for i, r in enumerate(fit.residuals) if i != 7) < 1e-3


def test_repetitions_of_a_size_may_come_in_any_order():
    """Oracle: the same measurements, shuffled."""
    pairs = list(zip(SIZES * 3, [t for seed in range(3) for t in times(noise=0.1, seed=seed)], strict=True))
    one = fit_alpha_beta(*zip(*pairs, strict=True), "all_reduce", "ring", 4)
    random.Random(0).shuffle(pairs)
    two = fit_alpha_beta(*zip(*pairs, strict=True), "all_reduce", "ring", 4)
    assert one.alpha_seconds == pytest.approx(two.alpha_seconds)
    assert one.beta_seconds_per_byte == pytest.approx(two.beta_seconds_per_byte)


def test_small_sizes_alone_say_little_about_bandwidth():
    """Oracle: the width of the interval; latency is found all the same."""
    small = [2**k for k in range(4, 12)]
    fit = fit_alpha_beta(small, times(sizes=small, noise=0.03), "all_reduce", "ring", 4)
    assert fit.alpha_seconds == pytest.approx(ALPHA, rel=0.05)
    assert fit.beta_interval[1] - fit.beta_interval[0] > 10 * BETA
    assert fit.predict(2**30).high / fit.predict(2**30).seconds > 1.5


def test_neither_alpha_nor_beta_is_negative():
    """Oracle: times that a negative alpha (growing faster than the size) or beta (falling) would fit best."""
    steep = fit_alpha_beta([1e6, 2e6, 4e6, 8e6], [0.9, 2, 4.1, 8.3], "all_reduce", "ring", 4)
    assert steep.alpha_seconds == 0
    assert steep.beta_interval[0] <= steep.beta_seconds_per_byte <= steep.beta_interval[1]
    falling = fit_alpha_beta([1e6, 2e6, 4e6, 8e6], [1.0, 0.99, 0.97, 0.9], "all_reduce", "ring", 4)
    assert falling.beta_seconds_per_byte == 0
    assert falling.bandwidth_bytes_per_s == falling.half_bandwidth_bytes == math.inf
    assert falling.alpha_interval[0] <= falling.alpha_seconds <= falling.alpha_interval[1]


def test_half_of_the_bandwidth_is_reached_where_latency_is_half_of_the_time():
    """Oracle: Hockney's n1/2."""
    fit = fit_alpha_beta(SIZES, times(), "all_reduce", "ring", 4)
    half = price(schedule("all_reduce", 4), Switch(4, 1 / BETA, ALPHA)).at(fit.half_bandwidth_bytes)
    assert half.latency_seconds == pytest.approx(half.seconds / 2)
    assert fit.bandwidth_bytes_per_s == pytest.approx(1 / BETA)


@pytest.mark.parametrize(
    ("confidence", "degrees", "t"),
    [
        (0.95, 1, 12.7062), (0.95, 2, 4.3027), (0.95, 3, 3.1824), (0.95, 10, 2.2281), (0.99, 5, 4.0321),
        (0.9, 30, 1.6973), (0.95, 120, 1.9799), (0.5, 4, 0.7407),
    ],
)  # fmt: skip
def test_students_t_is_that_of_the_tables(confidence, degrees, t):
    """Oracle: NIST/SEMATECH e-Handbook of Statistical Methods, table 1.3.6.7.2, and its quartiles."""
    assert two_sided_t(confidence, degrees) == pytest.approx(t, abs=6e-5)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sizes_bytes": [1, 2], "seconds": [1, 2]}, "sizes_bytes=2"),
        ({"sizes_bytes": [1, 2, 2, 1], "seconds": [1, 2, 2, 1]}, "at least 3 sizes"),
        ({"sizes_bytes": [], "seconds": []}, "sizes_bytes=0"),
        ({"seconds": [1, 2]}, "one time for each size"),
        ({"seconds": [1, 0, 2]}, "seconds=0"),
        ({"seconds": [1, float("nan"), 2]}, "seconds=nan"),
        ({"sizes_bytes": [0, 1, 2]}, "sizes_bytes=0"),
        ({"sizes_bytes": [1, None, 2]}, "list of numbers"),
        ({"seconds": ["fast", 1, 2]}, "list of numbers"),
        ({"ranks": 1}, "at least 2"),
        ({"algorithm": "rings"}, "'ring'"),
        ({"op": "sum"}, "'all_reduce'"),
        ({"confidence": 95}, "write 0.95"),
        ({"confidence": 1.0}, "below 1"),
        ({"op": "all_gather", "algorithm": "recursive_doubling", "ranks": 3}, "power of two"),
    ],
)
def test_what_no_line_can_be_fitted_to_is_refused(changes, says):
    """Oracle: the value and the way out stand in the message."""
    good = {"sizes_bytes": [1, 2, 4], "seconds": [1, 2, 4], "op": "all_reduce", "algorithm": "ring", "ranks": 4}
    with pytest.raises(ArithmeticInputError, match="Remedy") as raised:
        fit_alpha_beta(**{**good, **changes})
    assert says in str(raised.value)


def test_numpys_arrays_are_measurements_too():
    """Oracle: the same lists."""
    fit = fit_alpha_beta(np.array(SIZES), np.array(times()), "all_reduce", "ring", 4)
    assert fit.beta_seconds_per_byte == pytest.approx(BETA)
    assert fit.predict(np.int64(2**20)).seconds == pytest.approx(times(sizes=[2**20])[0])


def test_a_prediction_says_where_nothing_was_measured():
    """Oracle: the smallest and the largest size."""
    fit = fit_alpha_beta(SIZES, times(), "all_reduce", "ring", 4)
    sizes = (SIZES[0] - 1, SIZES[0], 3_000_000, SIZES[-1], SIZES[-1] + 1)
    assert [fit.predict(size).extrapolated for size in sizes] == [True, False, False, False, True]


def test_a_size_that_is_none_is_not_predicted():
    """Oracle: sizes are above 0."""
    fit = fit_alpha_beta(SIZES, times(), "all_reduce", "ring", 4)
    for size in (0, -1, float("inf")):
        with pytest.raises(ArithmeticInputError, match="bytes_"):
            fit.predict(size)
