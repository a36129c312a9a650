"""What experts do: routing counted over a text, recorded over a run, judged by alarms, drawn, and reported."""

from course_lib.moe.analysis.alarms import Alarm, Limits, alarms
from course_lib.moe.analysis.collect import RoutingCounts, collect
from course_lib.moe.analysis.figures import (
    co_activation,
    domains_by_expert,
    effective_over_time,
    entropy_over_time,
    load_over_time,
    paths,
)
from course_lib.moe.analysis.live import LiveView
from course_lib.moe.analysis.measures import (
    chance_information,
    effective_experts,
    favorite_tokens,
    lift,
    mutual_information,
    together,
)
from course_lib.moe.analysis.recorder import RoutingRecorder, read_records
from course_lib.moe.analysis.report import summarize, write_report
from course_lib.moe.analysis.saved import load_counts, save_counts

__all__ = [
    "Alarm",
    "Limits",
    "LiveView",
    "RoutingCounts",
    "RoutingRecorder",
    "alarms",
    "chance_information",
    "co_activation",
    "collect",
    "domains_by_expert",
    "effective_experts",
    "effective_over_time",
    "entropy_over_time",
    "favorite_tokens",
    "lift",
    "load_counts",
    "load_over_time",
    "mutual_information",
    "paths",
    "read_records",
    "save_counts",
    "summarize",
    "together",
    "write_report",
]
