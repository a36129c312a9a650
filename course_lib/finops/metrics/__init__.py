"""A training run's own metrics in CloudWatch, and the alarms that end what is idle.

`training_data(beat)` makes metrics of a `TrainingBeat` (tokens/s, MFU, use, USD/h, heartbeat), `spend_data(running)`
those of each project, and `send` sends them in batches. `plan_alarms(account, watch)` says which alarms would be
created, changed or kept; `apply_alarms` writes them.
"""

from course_lib.finops.metrics.alarms import AlarmChange, AlarmPlan, Watch, apply_alarms, plan_alarms
from course_lib.finops.metrics.data import (
    NAMESPACE,
    Datum,
    MetricError,
    Sent,
    TrainingBeat,
    batches,
    dimension,
    send,
    spend_data,
    training_data,
)

__all__ = [
    "NAMESPACE",
    "AlarmChange",
    "AlarmPlan",
    "Datum",
    "MetricError",
    "Sent",
    "TrainingBeat",
    "Watch",
    "apply_alarms",
    "batches",
    "dimension",
    "plan_alarms",
    "send",
    "spend_data",
    "training_data",
]
