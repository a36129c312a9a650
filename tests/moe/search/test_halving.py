"""Who goes on from a rung. Oracle: the bracket of Ray Tune's ASHAScheduler."""

from hypothesis import example, given
from hypothesis import strategies as st

from course_lib.moe.search.halving import Halving


@example([0, 1, 3, 0, 2], 3, 3, 1)  # equal losses at the border, where the last bit of a percentile decides
@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.integers(2, 4), st.integers(1, 3), st.integers(1, 20))
def test_who_goes_on_is_what_ray_decides(losses, keep, first, steps):
    """Oracle: the bracket of Ray Tune's ASHAScheduler on the same reports, one trial after the other."""
    from ray.tune.experiment import Trial as RayTrial
    from ray.tune.schedulers import TrialScheduler
    from ray.tune.schedulers.async_hyperband import _Bracket

    steps += first
    bracket, rule = _Bracket(first, steps, keep, 0), Halving(first, steps, keep)
    for number, base in enumerate(losses):
        trial = RayTrial("x", stub=True, trial_id=str(number))
        for done in range(first, steps, first):
            loss = base + (number * done) % 5
            found = rule.goes_on(number, done, loss)
            assert found == (bracket.on_result(trial, done, -loss) == TrialScheduler.CONTINUE)
            if not found:
                break
