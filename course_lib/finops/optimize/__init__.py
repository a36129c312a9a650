"""Spend a budget best, and find what costs money for nothing.

plan = optimize_budget(20_000, demands, catalog_offers(["trn1.32xlarge", "p5.48xlarge"], spot_share=0.43))
plan.choices, plan.refused, str(plan), plan.frame()      # exact; infeasible: InfeasibleBudgetError says what binds
advice = recommend(account)                              # reads through boto3, changes nothing
advice.recommendations, advice.usd_per_month, advice.frame()
"""

from course_lib.finops.optimize.advice import Advice, Kind, Recommendation
from course_lib.finops.optimize.budget import BudgetPlan, Choice, Refusal, optimize_budget
from course_lib.finops.optimize.demands import HOURS_PER_MONTH, Demand, Offer, catalog_offers
from course_lib.finops.optimize.errors import InfeasibleBudgetError, OptimizeError
from course_lib.finops.optimize.options import Option, options_of
from course_lib.finops.optimize.recommend import recommend
from course_lib.finops.optimize.settings import AdviceSettings, StoragePrices
from course_lib.finops.optimize.utilization import CPU, METRICS, Metric, Usage, utilization

__all__ = [
    "CPU",
    "HOURS_PER_MONTH",
    "METRICS",
    "Advice",
    "AdviceSettings",
    "BudgetPlan",
    "Choice",
    "Demand",
    "InfeasibleBudgetError",
    "Kind",
    "Metric",
    "Offer",
    "OptimizeError",
    "Option",
    "Recommendation",
    "Refusal",
    "StoragePrices",
    "Usage",
    "catalog_offers",
    "optimize_budget",
    "options_of",
    "recommend",
    "utilization",
]
