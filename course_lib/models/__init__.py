"""The small GPT and its data that all parts of the course share."""

from course_lib.models.attention import AttentionCore, causal_attention
from course_lib.models.batches import Batch, Batches
from course_lib.models.feed_forward import FeedForward
from course_lib.models.gpt import GPT, Block, language_model_loss
from course_lib.models.markov import MarkovText
from course_lib.models.tiny import tiny_config

__all__ = [
    "GPT",
    "AttentionCore",
    "Batch",
    "Batches",
    "Block",
    "FeedForward",
    "MarkovText",
    "causal_attention",
    "language_model_loss",
    "tiny_config",
]
