"""Spend that is out of the ordinary: a seasonal, robust detector that looks at the past only.

`detect(series)` goes through one series and gives a `Detection`: `anomalies`, and for a figure `expected`, `upper` and
`clean`. `find_anomalies(scopes)` does it for the total and each service, region or tag, and joins what is the same
money. `news(anomalies, seen)` tells each once, and again when it has grown. `make_trace(seed)`,
`make_rare_trace(seed)` (runs on few days) and `score` measure it.
"""

from course_lib.finops.anomalies.detect import Anomaly, Detection, detect
from course_lib.finops.anomalies.peers import stl_reports, z_score_reports
from course_lib.finops.anomalies.rare_traces import RARE_KINDS, make_rare_trace
from course_lib.finops.anomalies.rule import DAILY, HOURLY, Rule
from course_lib.finops.anomalies.scopes import find_anomalies
from course_lib.finops.anomalies.scoring import Score, score
from course_lib.finops.anomalies.seen import GROWTH, Seen, load_seen, news, save_seen
from course_lib.finops.anomalies.traces import DELAY, KINDS, WARM, Event, Trace, make_trace

__all__ = [
    "DAILY",
    "DELAY",
    "GROWTH",
    "HOURLY",
    "KINDS",
    "RARE_KINDS",
    "WARM",
    "Anomaly",
    "Detection",
    "Event",
    "Rule",
    "Score",
    "Seen",
    "Trace",
    "detect",
    "find_anomalies",
    "load_seen",
    "make_rare_trace",
    "make_trace",
    "news",
    "save_seen",
    "score",
    "stl_reports",
    "z_score_reports",
]
