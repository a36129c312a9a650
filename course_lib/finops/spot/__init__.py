"""Spot instances: what a run on them costs and when it ends, which pools to take, and how to leave in time."""

from course_lib.finops.spot.billing import AWS_LINUX, EXACT, Billing
from course_lib.finops.spot.decide import (
    IntervalResult,
    IntervalStudy,
    PurchaseComparison,
    compare_purchase,
    study_intervals,
)
from course_lib.finops.spot.errors import MetadataError, SpotError
from course_lib.finops.spot.job import NOTICE_SECONDS, SpotJob, SpotMarket, market_from_catalog
from course_lib.finops.spot.lifetimes import (
    ConstantWait,
    ExponentialInterruptions,
    ExponentialWait,
    Interruptions,
    LogNormalInterruptions,
    ReplayedInterruptions,
    SampledWait,
    Waits,
    WeibullInterruptions,
)
from course_lib.finops.spot.metadata import InterruptionNotice, MetadataClient
from course_lib.finops.spot.metadata_server import LocalMetadataServer
from course_lib.finops.spot.notices import Notice, NoticeWatcher
from course_lib.finops.spot.outcomes import Estimate, SimulatedRuns, paired_difference
from course_lib.finops.spot.pool_plans import PoolComparison, PoolPlan, compare_pools
from course_lib.finops.spot.pools import Pool, job_mean_seconds
from course_lib.finops.spot.reference import OneRun, RunEvent, run_once
from course_lib.finops.spot.simulate import Draws, simulate
from course_lib.finops.spot.synthetic import correlated_interruptions, mean_reverting_prices, renewal_interruptions
from course_lib.finops.spot.trace_files import (
    InterruptionLog,
    Session,
    prices_from_history,
    read_interruptions,
    read_prices,
)
from course_lib.finops.spot.traces import InterruptionTrace, PriceTrace
from course_lib.finops.spot.until_notice import (
    REQUEUE_EXIT_CODE,
    Finished,
    Interrupted,
    Outcome,
    run_until_notice,
)

__all__ = [
    "AWS_LINUX",
    "EXACT",
    "NOTICE_SECONDS",
    "REQUEUE_EXIT_CODE",
    "Billing",
    "ConstantWait",
    "Draws",
    "Estimate",
    "ExponentialInterruptions",
    "ExponentialWait",
    "Finished",
    "Interrupted",
    "InterruptionLog",
    "InterruptionNotice",
    "InterruptionTrace",
    "Interruptions",
    "IntervalResult",
    "IntervalStudy",
    "LocalMetadataServer",
    "LogNormalInterruptions",
    "MetadataClient",
    "MetadataError",
    "Notice",
    "NoticeWatcher",
    "OneRun",
    "Outcome",
    "Pool",
    "PoolComparison",
    "PoolPlan",
    "PriceTrace",
    "PurchaseComparison",
    "ReplayedInterruptions",
    "RunEvent",
    "SampledWait",
    "Session",
    "SimulatedRuns",
    "SpotError",
    "SpotJob",
    "SpotMarket",
    "Waits",
    "WeibullInterruptions",
    "compare_pools",
    "compare_purchase",
    "correlated_interruptions",
    "job_mean_seconds",
    "market_from_catalog",
    "mean_reverting_prices",
    "paired_difference",
    "prices_from_history",
    "read_interruptions",
    "read_prices",
    "renewal_interruptions",
    "run_once",
    "run_until_notice",
    "simulate",
    "study_intervals",
]
