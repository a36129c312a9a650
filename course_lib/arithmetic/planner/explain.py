"""Why the first plan wins over the second, in one line."""

from course_lib.arithmetic.planner.prediction import Prediction
from course_lib.arithmetic.planner.search import Plans
from course_lib.arithmetic.planner.step_time import StepTime

WORTH_TELLING = 0.0005  # of the step


def winner(plans: Plans) -> str:
    """Say why the first plan wins over the second.

    Args:
        plans: what `plan` returned.

    Returns:
        One line: where it saves time first, then where it spends some.

    Source: the difference of the two steps, part by part.
    """
    first = plans.best[0]
    if len(plans.best) < 2:
        return "It is the only plan that was asked for." if plans.timed > 1 else "It is the only plan that fits."
    second = plans.best[1]
    if first.cluster != second.cluster:
        return _between_clusters(plans, first, second)
    slower = second.time.seconds - first.time.seconds
    mine, other = _parts(first.time), _parts(second.time)
    changes = sorted(((other[name] - mine[name], name) for name in mine), key=lambda change: (-change[0], change[1]))
    least = WORTH_TELLING * first.time.seconds
    less = [f"{_seconds(gap)} less {name}" for gap, name in changes if gap > least]
    more = [f"{_seconds(-gap)} more {name}" for gap, name in reversed(changes) if gap < -least]
    if slower <= least or not less:
        return (
            f"Level with the second in time (within {WORTH_TELLING:.2%}); "
            f"{first.memory.total_bytes / 1e9:.1f} GB against {second.memory.total_bytes / 1e9:.1f} GB."
        )
    told = ", ".join(less[:2]) + (f", for {', '.join(more[:2])}" if more else "")
    return f"{slower / first.time.seconds:.1%} faster than the second: {told}."


def _between_clusters(plans: Plans, first: Prediction, second: Prediction) -> str:
    if plans.by == "time" or first.usd_per_step is None or second.usd_per_step is None:
        gain = second.time.seconds / first.time.seconds - 1
        return f"{first.cluster} takes {_seconds(first.time.seconds)} per step, {second.cluster} {gain:.1%} more."
    gain = second.usd_per_step / first.usd_per_step - 1
    return f"{first.cluster} costs ${first.usd_per_step:,.2f} per step, {second.cluster} {gain:.1%} more."


def _parts(time: StepTime) -> dict[str, float]:
    shown = {f"exposed {kind} communication": one.exposed_seconds for kind, one in time.communication.items()}
    return {
        "compute": time.compute_seconds - time.recompute_seconds,
        "recomputation": time.recompute_seconds,
        "bubble": time.bubble_seconds,
        "optimizer time": time.optimizer_seconds,
        **shown,
    }


def _seconds(value: float) -> str:
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1000:.0f} ms" if value >= 0.01 else f"{value * 1000:.2g} ms"
