"""The planner: from a model, a batch and a cluster to the layouts that fit, how fast they are and what they cost."""

from course_lib.arithmetic.planner.calibration import Efficiency, efficiency_of
from course_lib.arithmetic.planner.cluster import Cluster, custom_cluster, instance_cluster
from course_lib.arithmetic.planner.explain import winner
from course_lib.arithmetic.planner.layout import Layout
from course_lib.arithmetic.planner.losses import ExpectedLosses, Reliability
from course_lib.arithmetic.planner.memory import MemoryByKind
from course_lib.arithmetic.planner.pace import Communication
from course_lib.arithmetic.planner.prediction import Prediction, predict
from course_lib.arithmetic.planner.published_runs import Comparison, compare_run
from course_lib.arithmetic.planner.search import Plans, plan
from course_lib.arithmetic.planner.shortfall import InfeasibleError
from course_lib.arithmetic.planner.software import SOFTWARE, Software
from course_lib.arithmetic.planner.step_time import StepTime

__all__ = [
    "SOFTWARE",
    "Cluster",
    "Communication",
    "Comparison",
    "Efficiency",
    "ExpectedLosses",
    "InfeasibleError",
    "Layout",
    "MemoryByKind",
    "Plans",
    "Prediction",
    "Reliability",
    "Software",
    "StepTime",
    "compare_run",
    "custom_cluster",
    "efficiency_of",
    "instance_cluster",
    "plan",
    "predict",
    "winner",
]
