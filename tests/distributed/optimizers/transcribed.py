"""The papers' algorithms, line by line, in NumPy float64: the oracle for the optimizers."""

from __future__ import annotations

import numpy as np


def lamb(weights, gradients, lr, b1=0.9, b2=0.999, eps=1e-6, decay=0.01, low=0.0, high=np.inf):
    """Algorithm 2 of arXiv:1904.00962 on one layer; `gradients` has one array for each step."""
    x, m, v = weights.astype(np.float64), 0.0, 0.0
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        r = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        u = r + decay * x
        phi, length = np.clip(np.linalg.norm(x), low, high), np.linalg.norm(u)
        x = x - lr * (phi / length if phi > 0 and length > 0 else 1.0) * u
    return x


def lion(weights, gradients, lr, b1=0.9, b2=0.99, decay=0.0):
    """Algorithm 2 of arXiv:2302.06675."""
    x, m = weights.astype(np.float64), np.zeros(weights.shape)
    for g in gradients:
        c = b1 * m + (1 - b1) * g
        x = x - lr * (np.sign(c) + decay * x)
        m = b2 * m + (1 - b2) * g
    return x


def lars(weights, gradients, lr, momentum=0.9, decay=0.0, trust=0.001):
    """Algorithm 1 of arXiv:1708.03888 on one layer, with a constant global rate."""
    w, v = weights.astype(np.float64), np.zeros(weights.shape)
    for g in gradients:
        rate = trust * np.linalg.norm(w) / (np.linalg.norm(g) + decay * np.linalg.norm(w))
        v = momentum * v + lr * rate * (g + decay * w)
        w = w - v
    return w
