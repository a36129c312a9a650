"""Search for the shape of a mixture, by Ray Tune or in this process, at equal active parameters."""

from course_lib.moe.search.results import SearchResult, Trial, pareto_front
from course_lib.moe.search.space import SearchSpace, Setting, with_setting
from course_lib.moe.search.tuning import search_experts

__all__ = [
    "SearchResult",
    "SearchSpace",
    "Setting",
    "Trial",
    "pareto_front",
    "search_experts",
    "with_setting",
]
