"""How much wider or narrower a model's intervals have to be so that they hold the share they promise.

Split conformal prediction with locally weighted residuals: an error is divided by the half-width that the model had
claimed for it, and the quantile of these scores, with n + 1 in place of n, is the factor. Source: Lei, G'Sell, Rinaldo,
Tibshirani and Wasserman, "Distribution-free predictive inference for regression", Journal of the American Statistical
Association 113 (2018). Its guarantee is for exchangeable errors. Days of a bill are not, so the coverage is measured
instead: `forecasting` names it.
"""

from __future__ import annotations

import math

import numpy as np

NARROWEST, WIDEST = 0.3, 3.0  # factors: a few lucky weeks, or one mistake among them, are not to rule the interval


def scores(error: np.ndarray, below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Errors in units of what the interval allowed on that side.

    Args:
        error: actual less forecast, USD; shape (n,).
        below, above: from the forecast down and up to the interval's bounds, USD; shape (n,).
    """
    return np.asarray(np.abs(error) / np.maximum(np.where(error > 0, above, below), 1e-9))


def stretch(given: np.ndarray, level: float) -> float:
    """The factor with which the intervals would have held the share `level`: a rank of the scores, 0.3 to 3.

    With fewer than level / (1 - level) scores the rank lies beyond them; then the largest score is taken, which
    promises less than `level`.

    Args:
        given: scores, shape (n,).
        level: of the intervals.
    """
    rank = min(math.ceil((len(given) + 1) * level - 1e-9), len(given))
    return float(np.clip(np.sort(given)[rank - 1], NARROWEST, WIDEST))
