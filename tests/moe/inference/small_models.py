"""Small models whose logits are far enough apart that greedy choices don't hang on rounding."""

import torch

from course_lib.models import GPT, tiny_config
from course_lib.moe import MoEModel, moe_config

VOCAB = 128


def mixture(seed: int = 0, **shape) -> MoEModel:
    given = {"layers": 3, "hidden_size": 32, "kv_heads": 2, "vocab_size": VOCAB, "context_length": 64, **shape}
    return sharpened(MoEModel(moe_config(**given), seed=seed))


def dense() -> GPT:
    return sharpened(GPT(tiny_config(layers=2, hidden_size=32, vocab_size=VOCAB, context_length=64)))


def sharpened(model: GPT) -> GPT:
    """Weights four times as large: a fresh model's logits are all near 0."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4)
    return model.eval()


def tokens(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, VOCAB, shape, generator=torch.Generator().manual_seed(seed))
