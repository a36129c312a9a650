"""One seed for every generator that a training run draws from."""

from __future__ import annotations

import random


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and PyTorch's global generators (every device's).

    Args:
        seed: 0 to 2**32 - 1, NumPy's range.

    Raises:
        ValueError: for a seed outside of that range.
    """
    import numpy as np
    import torch

    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"seed={seed!r} must be a whole number from 0 to {2**32 - 1}. Remedy: give one, such as 1234.")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
