"""Experts on disk behind a cache in memory, which guesses what the next layer wants."""

from course_lib.moe.inference.expert_cache.cache import ExpertCache, LayerHits
from course_lib.moe.inference.expert_cache.expert_files import ExpertFile, write_experts
from course_lib.moe.inference.expert_cache.offload import Offloaded, offload
from course_lib.moe.inference.expert_cache.policies import LeastFrequentlyUsed, LeastRecentlyUsed

__all__ = [
    "ExpertCache",
    "ExpertFile",
    "LayerHits",
    "LeastFrequentlyUsed",
    "LeastRecentlyUsed",
    "Offloaded",
    "offload",
    "write_experts",
]
