"""A run that is small enough to be made in each test."""

from course_lib.models import Batches, MarkovText
from course_lib.moe import MoEConfig, MoETrainConfig, moe_config

SHAPE = moe_config(layers=2, hidden_size=16, heads=2, vocab_size=32, experts=4)


def config(**options):
    return MoETrainConfig(
        model=SHAPE, moe=MoEConfig.of(SHAPE, **options), sequence_length=16, global_batch=4, learning_rate=1e-2
    )


def batches():
    return Batches(MarkovText(32, seed=0), 4, 16)
