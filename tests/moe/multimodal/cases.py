"""A model small enough to be built in each test."""

import torch

from course_lib.moe import MoEConfig, moe_config
from course_lib.moe.multimodal import WORDS, ImageShape, ImageTextConfig, load_digits, rows_of, sequence_length

IMAGE = ImageShape()
SHAPE = moe_config(layers=2, hidden_size=16, heads=2, vocab_size=len(WORDS), experts=4, experts_per_token=1)
GROUPS = {"router": "task", "tasks": 2, "normalize": False}


def config(*, moe=None, image=IMAGE, **changes) -> ImageTextConfig:
    settings = {"sequence_length": sequence_length(image), "global_batch": 6, "learning_rate": 3e-3} | changes
    options = {"normalize": False} | (moe or {})
    return ImageTextConfig(model=SHAPE, moe=MoEConfig.of(SHAPE, **options), image=image or IMAGE, **settings)


def some_rows(count=6, image=IMAGE):
    kinds = ("name", "even", "larger")
    return rows_of(load_digits("test"), [(i, kinds[i % 3], i % 10) for i in range(count)], image)


def random_images(count, shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, shape.channels, shape.height, shape.width, generator=generator)
